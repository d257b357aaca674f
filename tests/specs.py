"""The campaign that most tests are about; a kalloy.toml begins with it."""

ONE_K = """
[host]
structure = "Cs4PbBr6"
cell = "primitive"

[[substitution]]
replace = "Cs"
with = "K"
count = [1]
"""
"""One K on the eight Cs of the primitive cell: host, K1/c1 and K1/c2."""
