"""The peers of tests and benchmarks, each in an environment of its own: together they cannot be installed.

    python benchmarks/peers/environments.py [PEER ...]    all of them unless named; needs uv, which the dev group brings

They lie in the folder that KALLOY_PEERS names, or in benchmarks/.peers. Tests of one that is not there are skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PEERS = {"shry": "shry>=1.1.8", "bsym": "bsym>=2.2", "sumo": "sumo>=3"}
"""What is installed, by the environment's name."""


def folder() -> Path:
    """Where the environments lie."""
    return Path(os.environ.get("KALLOY_PEERS") or Path(__file__).resolve().parents[1] / ".peers")


def python_of(peer: str) -> Path | None:
    """The Python of a peer's environment; None where there is none, or only part of one."""
    return folder() / peer / "bin" / "python" if (folder() / peer / "done").exists() else None


def make(peer: str) -> Path:
    """Make a peer's environment unless it is there; its Python."""
    place, uv = folder() / peer, [sys.executable, "-m", "uv", "--quiet"]
    if python_of(peer) is None:
        subprocess.run([*uv, "venv", "--clear", "--python", sys.executable, str(place)], check=True)
        subprocess.run([*uv, "pip", "install", "--python", str(place), PEERS[peer]], check=True)
        (place / "done").touch()
    return place / "bin" / "python"


if __name__ == "__main__":
    for name in sys.argv[1:] or PEERS:
        print(f"{name}: {make(name)}", flush=True)
