"""kalloy: screen alloy configurations with density-functional theory.

A crystal and a substitution in, every symmetry-distinct configuration through VASP or a free
engine, a ranked and checked answer out.
"""

from importlib.metadata import version

__version__ = version("kalloy")
