"""What `kalloy check` costs: 1,665 members of which nothing is written, and 88 whose first step is.

    python benchmarks/checking.py

The unit is the time that enumerating the same members takes in the same process. Nothing is asserted about time.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kalloy.workflows.campaign import Campaign


def main() -> None:
    os.environ.pop("PMG_VASP_PSP_DIR", None)

    from kalloy.workflows.inputs.checks.campaign import check_campaign
    from kalloy.workflows.steps import select
    from kalloy.workflows.submission.driver import write_step

    with TemporaryDirectory() as folder:
        check_campaign(_campaign(Path(folder) / "first", "1")[0])  # imports are nobody's cost
        large, unit = _campaign(Path(folder) / "large", "1-5")
        print(_timed("check, nothing written", lambda: check_campaign(large), unit))
        small, unit = _campaign(Path(folder) / "small", "1-3")
        selection = select(small, 1)
        print(_timed("write relax and static", lambda: write_step(small, selection), unit))
        print(_timed("check, relax and static written", lambda: check_campaign(small), unit))


def _campaign(root: Path, contents: str) -> tuple[Campaign, float]:
    """A campaign with this many K on the 24 Cs of Cs4PbBr6, and the seconds that enumerating it takes."""
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.creation import new_campaign

    new_campaign(root, "Cs4PbBr6", [f"Cs=K:{contents}"], cell="conventional", preset="paper-gamma", engine="vasp")
    campaign = Campaign(root)
    start = perf_counter()
    members = len(campaign.members)
    unit = perf_counter() - start
    print(f"{members} members, enumerated in {unit:.2f} s: the unit")
    return campaign, unit


def _timed(what: str, work: object, unit: float) -> str:
    start = perf_counter()
    assert callable(work)
    work()
    seconds = perf_counter() - start
    return f"{what:34} {seconds:7.2f} s = {seconds / unit:6.2f} units"


if __name__ == "__main__":
    main()
