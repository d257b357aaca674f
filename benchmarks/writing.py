"""How fast the inputs of ten thousand members are written, beside the bare creation of the same files.

    python benchmarks/writing.py [FOLDER]      # where it writes; a temporary folder unless named

The 66-atom cell of Cs4PbBr6 with up to seven K, relaxations with VASP's files, no POTCAR library. Bare creation makes
the same folders and files with the same bytes in plain Python, and syncs the file system once for every batch of as
many attempts, as kalloy does. *Formatting* is kalloy's CPU time less that of the bare creation. No time is asserted.
"""

from __future__ import annotations

import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from kalloy.workflows.campaign import Campaign
from kalloy.workflows.files import sync
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.inputs.writing import AT_ONCE, Asked, write_attempts

MEMBERS = 10_000
SPEC = """
[host]
structure = "Cs4PbBr6"

[[substitution]]
replace = "Cs"
with = "K"
count = [1, 2, 3, 4, 5, 7]

[calculation]
preset = "paper-gamma"
engine = "vasp"

[[step]]
stages = ["relax"]
"""


class Clock:
    """CPU and wall seconds of a block."""

    def __enter__(self) -> Clock:
        self.cpu, self.wall = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        self.cpu, self.wall = time.process_time() - self.cpu, time.perf_counter() - self.wall


def bare(files: dict[Path, bytes], root: Path, batch: int) -> None:
    """The same files under another root: nothing but folders, bytes and the same syncs."""
    made = iter(files.items())
    while some := list(islice(made, batch)):
        written = []
        for name, content in some:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(content)
            written.append(path)
        sync(written)
        sync([path.parent for path in written])


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as work:
        root = Path(work) / "campaign"
        root.mkdir()
        (root / "kalloy.toml").write_text(SPEC)
        with Clock() as enumeration:
            campaign = Campaign(root)
            members = list(islice(campaign.members.values(), MEMBERS))
        print(f"{len(members):,} members, enumerated in {enumeration.cpu:.1f} s CPU")
        write_attempts(campaign, [Asked(campaign.member("host"), Stage.STATIC)])  # imports are paid for
        with Clock() as whole:
            write_attempts(campaign, [Asked(member, Stage.RELAX) for member in members])
        files = {p.relative_to(root): p.read_bytes() for p in sorted(root.glob("**/*")) if p.is_file()}
        each = len(files) / len(members)
        print(f"{len(files):,} files, {sum(map(len, files.values())) / 1e6:.0f} MB")
        with Clock() as creation:
            bare(files, Path(work) / "bare", round(AT_ONCE * each))
        print(f"kalloy         {whole.cpu:6.1f} s CPU {whole.wall:6.1f} s wall")
        print(f"bare creation  {creation.cpu:6.1f} s CPU {creation.wall:6.1f} s wall")
        print(f"formatting     {whole.cpu - creation.cpu:6.1f} s CPU")
        print(f"ratio          {whole.cpu / creation.cpu:6.1f}       {whole.wall / creation.wall:6.1f}")


if __name__ == "__main__":
    main()
