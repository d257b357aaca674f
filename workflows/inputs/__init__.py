"""VASP inputs: stages, presets, INCAR, KPOINTS, POTCAR."""
