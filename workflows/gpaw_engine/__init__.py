"""kalloy-gpaw: a free PAW/PBE plane-wave engine that speaks VASP's files."""
