"""What to compute: crystals in, symmetry-distinct configurations out. Knows no VASP and no disk layout."""
