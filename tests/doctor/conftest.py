"""What tests of the doctor share: a campaign for VASP, programs that say what they are told to say."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from kalloy.workflows.campaign import Campaign
from kalloy.workflows.submission.schedulers import scheduler_of

SPEC = """
[host]
structure = "CsPbBr3"

[[substitution]]
replace = "Cs"
with = "K"
count = 1

[calculation]
preset = "paper"
engine = "{engine}"
site = "{site}"

[[step]]
stages = ["relax", "static"]

[[step]]
stages = ["soc"]
on = {{ host = true }}

{tables}
"""

MakeCampaign = Callable[..., Campaign]
MakePrograms = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> MakeCampaign:
    def made(*, engine: str = "vasp", site: str = "local", tables: str = "") -> Campaign:
        folder = tmp_path / "campaign"
        folder.mkdir(exist_ok=True)
        (folder / "kalloy.toml").write_text(SPEC.format(engine=engine, site=site, tables=tables))
        return Campaign(folder)

    return made


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakePrograms:
    """Puts programs into a folder that is all of PATH but the shell: name to the lines of shell that each runs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    scheduler_of.cache_clear()  # an adapter remembers what the cluster's configuration said

    def put(**texts: str) -> Path:
        for name, text in texts.items():
            path = folder / name
            path.write_text(f"#!/bin/bash\nPATH={folder}:/usr/bin:/bin\n{text}\n")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return folder

    return put


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, so that no site or setting of this machine's user is seen."""
    home = tmp_path_factory.mktemp("home")
    (home / ".config").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "PMG_CONFIG_FILE", "KALLOY_AT_SITE"):
        monkeypatch.delenv(name, raising=False)
    return home
