"""A machine behind ssh: what its answers mean, and what an ssh that fails is told to mend.

The stand-in for ssh runs the far command in this machine's shell; tests/workflows/test_elsewhere.py has a real server.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from pathlib import Path

import pytest

from kalloy import __version__
from kalloy.workflows.doctor.finding import Finding, Mark
from kalloy.workflows.doctor.remote import Far, far_findings, question, read_answer, ssh_site, told
from kalloy.workflows.spec_sites import SiteTable
from tests.doctor.conftest import MakeCampaign, MakePrograms

MINE = f"kalloy {__version__}"
KALLOY = f"{sys.executable} -m kalloy"


def table(folder: Path | str = "/scratch/me", kalloy: str = "kalloy") -> SiteTable:
    return SiteTable(ssh="cluster", folder=str(folder), kalloy=kalloy)


def looked(far: Far, now: float = 1000.0) -> list[tuple[str, str]]:
    return [(f.mark.value, f.words) for f in told("far", table(), far, now, True)]


def test_all_is_well() -> None:
    assert looked(Far(MINE, "/usr/bin/rsync", "writable /scratch", 1000.0, 5_000_000)) == [
        ("ok", f"cluster, with {MINE}"),
        ("ok", "/scratch/me, 5 GB free"),
        ("ok", "cluster's clock agrees with this machine's"),
    ]


@pytest.mark.parametrize(
    ("far", "words"),
    [
        (Far("", "/r", "writable /", 1000, None), "cluster has no 'kalloy'"),
        (Far("kalloy 0.0.1", "/r", "writable /", 1000, None), f"kalloy 0.0.1 there and {MINE} here"),
        (Far(MINE, "", "writable /", 1000, None), "none on cluster"),
        (Far(MINE, "/r", "read-only /scratch", 1000, None), "/scratch on cluster is not writable"),
        (Far(MINE, "/r", "writable /", 1500, None), "cluster's clock is 499 s away from this machine's: "),
    ],
)
def test_what_is_wrong_at_the_far_end(far: Far, words: str) -> None:
    failures = [said for mark, said in looked(far) if mark == "failure"]
    assert len(failures) == 1
    assert failures[0].startswith(words)


def test_an_answer_with_a_banner_in_it() -> None:
    text = (
        "Welcome to the cluster! Load=3\n"
        "version=kalloy 1\nrsync=/usr/bin/rsync\nfolder=writable /a b=c\nepoch=12\nfree=\n"
    )
    assert read_answer(text) == Far("kalloy 1", "/usr/bin/rsync", "writable /a b=c", 12.0, None)
    assert read_answer("") == Far("", "", "", 0.0, None)


@pytest.fixture
def ssh(programs: MakePrograms, monkeypatch: pytest.MonkeyPatch) -> MakePrograms:
    """An ssh of the test's own beside everything else on PATH."""

    def put(text: str) -> Path:
        folder = programs(ssh=text, rsync="")
        monkeypatch.setenv("PATH", f"{folder}:{os.defpath}")
        return folder

    return put


HERE = 'while [ "$1" = -o ]; do shift 2; done; [ "$1" = cluster ] && shift && exec sh -c "$1"'


def site_findings(site: SiteTable) -> list[Finding]:
    return list(ssh_site("far", site, True))


def test_the_question_is_answered_by_a_shell(ssh: MakePrograms, tmp_path: Path) -> None:
    """In a folder whose name needs quoting and which is not there yet; nothing is made."""
    ssh(HERE)
    found = site_findings(table(tmp_path / "far end's" / "campaigns", KALLOY))
    assert [f.mark for f in found] == [Mark.OK] * 3, found
    assert not (tmp_path / "far end's").exists()


def test_no_kalloy_there(ssh: MakePrograms, tmp_path: Path) -> None:
    ssh(HERE)
    first = site_findings(table(tmp_path, "/no/kalloy"))[0]
    assert (first.mark, first.words) == (Mark.FAILURE, "cluster has no '/no/kalloy'")


def test_a_machine_that_is_not_reached(ssh: MakePrograms) -> None:
    ssh("echo 'ssh: connect to host cluster port 22: Connection refused' >&2; exit 255")
    (found,) = site_findings(table())
    assert (found.mark, found.words) == (
        Mark.FAILURE,
        "cluster is not reached: ssh: connect to host cluster port 22: Connection refused",
    )
    assert "ssh -o BatchMode=yes cluster true" in (found.mend or "")


@pytest.mark.parametrize("missing", ["ssh", "rsync"])
def test_programs_that_are_missing_here(missing: str, programs: MakePrograms) -> None:
    programs(**{name: "" for name in ("ssh", "rsync") if name != missing})
    (found,) = site_findings(table())
    assert found.words == f"no {missing} on this machine"


def test_ssh_asks_no_password_and_leaves_no_socket(ssh: MakePrograms, tmp_path: Path) -> None:
    log = tmp_path / "log"
    ssh(f'printf "%s\\n" "$@" > {log}; exit 255')
    site_findings(table())
    words = log.read_text().splitlines()
    assert {"BatchMode=yes", "ControlPath=none"} <= set(words)
    assert words[-1] == question(table())


def test_the_far_doctors_own_words(ssh: MakePrograms, make: MakeCampaign, tmp_path: Path) -> None:
    ssh(HERE)
    site = table(tmp_path / "far", KALLOY)
    tables = f'[site.cluster]\nssh = "cluster"\nfolder = "{tmp_path / "far"}"\nkalloy = "{KALLOY}"'
    campaign = make(engine="gpaw", site="cluster", tables=tables)
    (before,) = far_findings(campaign, "cluster", site)
    assert "not there yet" in before.words
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / campaign.root.name).symlink_to(campaign.root)
    (campaign.root / "remote.json").write_text("{}")
    found = list(far_findings(campaign, "cluster", site))
    assert all(f.subject.startswith("cluster: ") for f in found)
    assert "cluster: kalloy.toml" in [f.subject for f in found]
    assert not [f for f in found if "is not reached" in f.words]  # at the far end the site is the machine itself


def test_a_far_doctor_that_says_nothing(ssh: MakePrograms, make: MakeCampaign) -> None:
    ssh("echo 'bash: kalloy: command not found' >&2; exit 127")
    campaign = make()
    (campaign.root / "remote.json").write_text("{}")
    (found,) = far_findings(campaign, "far", table())
    assert (found.mark, found.words) == (
        Mark.WARNING,
        "kalloy doctor does not answer there: bash: kalloy: command not found",
    )


def test_the_clock_is_compared_when_the_answer_comes() -> None:
    far = read_answer(f"version={MINE}\nrsync=/r\nfolder=writable /\nepoch={int(time.time())}\n")
    assert all(mark == "ok" for mark, _ in looked(far, time.time()))
    assert shlex.split(question(table("/a b")))  # one line of valid shell
