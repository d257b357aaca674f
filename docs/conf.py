"""Sphinx: the pages as they are, with the Python interface's docstrings; nothing is fetched while it builds."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import kalloy

project = "kalloy"
author = "The kalloy founders"
copyright = "The kalloy founders, MIT licence"
version = release = kalloy.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 4
exclude_patterns = ["_build"]
highlight_language = "text"

html_theme = "furo"
html_title = "kalloy"
html_copy_source = False

# Signatures say types, and most of those are other people's, who are not asked over the network.
nitpick_ignore_regex = [("py:.*", ".*")]
# Nor is a parameter's description ("shape (sites, 3)") a reference to one of the attributes of that name.
suppress_warnings = ["ref.python"]
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True


def _inside(app: object, page: str, source: list[str]) -> None:
    """A link to a page of the repository that the site does not hold becomes that page's name."""
    source[0] = re.sub(r"\[([^\]]+)\]\((?:\.\./)+(?!docs/)[^)]*\.md(?:#[^)]*)?\)", r"\1", source[0])


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _inside)
