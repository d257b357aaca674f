"""Disks that are full, read-only, in memory or far away: on real small ones where this machine lets us mount."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kalloy.workflows.doctor.finding import Mark
from kalloy.workflows.doctor.folders import existing, file_system, mount_of, space, temporary, writable
from tests.doctor.conftest import MakeCampaign

MOUNTS = """\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 21 0:40 / /home rw,nosuid - nfs4 server:/home rw,vers=4.2,local_lock=none
31 21 0:41 / /old rw - nfs server:/old rw,nolock,local_lock=all
32 21 0:42 / /scratch rw - lustre 10.0.0.1@o2ib:/fs rw,flock,lazystatfs
33 21 0:43 / /fast rw - lustre 10.0.0.1@o2ib:/ff rw,localflock
34 21 0:44 / /dev/shm rw - tmpfs tmpfs rw
35 30 0:45 / /home/a\\040b rw - gpfs fs rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/srv/x", "ext4"),
        ("/home/me/c", "nfs4"),
        ("/homes/me", "ext4"),
        ("/scratch", "lustre"),
        ("/home/a b/c", "gpfs"),
    ],
)
def test_the_file_system_of_a_folder(folder: str, kind: str) -> None:
    mount = mount_of(Path(folder), MOUNTS)
    assert mount is not None
    assert mount.kind == kind


@pytest.mark.parametrize(
    ("folder", "mark", "words"),
    [
        ("/home/me", "ok", "nfs4, a network file system, mounted at /home"),
        ("/srv", "ok", "ext4, mounted at /"),
        ("/old/c", "warning", "nfs with nolock: another machine does not see who drives the campaign"),
        ("/fast/c", "warning", "lustre with localflock: another machine does not see who drives the campaign"),
        ("/dev/shm/c", "warning", "/dev/shm/c is in memory (tmpfs): gone when the machine restarts"),
    ],
)
def test_what_a_file_system_means(folder: str, mark: str, words: str) -> None:
    found = file_system("file system", Path(folder), MOUNTS)
    assert (found.mark, found.words) == (mark, words)


def test_a_kernel_that_tells_nothing(tmp_path: Path) -> None:
    assert file_system("file system", tmp_path, "").mark is Mark.OK
    assert mount_of(tmp_path, "nonsense\n1 2 3\n") is None


def test_a_writable_folder_is_left_as_it_was(tmp_path: Path) -> None:
    assert writable("folder", tmp_path, Mark.FAILURE, "move it").mark is Mark.OK
    assert list(tmp_path.iterdir()) == []
    (found,) = space("room", tmp_path)
    assert found.mark in (Mark.OK, Mark.WARNING)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    found = writable("folder", tmp_path / "no", Mark.FAILURE, "make it")
    assert (found.mark, found.words, found.mend) == (Mark.FAILURE, f"{tmp_path / 'no'}: is not there", "make it")
    assert existing(tmp_path / "no" / "where") == tmp_path
    assert temporary(str(tmp_path / "no")).mark is Mark.FAILURE


@pytest.fixture(scope="module")
def mounting() -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Runs a shell script that may mount, seen by nobody else."""

    def run(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["unshare", "-rm", "bash", "-euc", script], capture_output=True, text=True, check=False)

    try:
        permitted = run("mount -t tmpfs none /mnt").returncode == 0
    except FileNotFoundError:
        permitted = False
    if not permitted:
        pytest.skip("mounting is not permitted here")
    return run


def by_subject(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, str]]:
    return {row["subject"]: row for row in json.loads(done.stdout)}


def examine(root: Path) -> str:
    return (
        f"{sys.executable} -c 'import json, sys; from pathlib import Path\n"
        "from kalloy.workflows.doctor.examination import examine_folders\n"
        f'print(json.dumps([f.to_json("x") for f in examine_folders(Path("{root}"), True)]))\''
    )


def test_a_full_disk(mounting: Callable[[str], subprocess.CompletedProcess[str]], make: MakeCampaign) -> None:
    root = make().root
    script = f"mount -t tmpfs -o size=128k none {root}; head -c 128k /dev/zero > {root}/big || true; {examine(root)}"
    found = by_subject(mounting(script))
    assert found["campaign folder"]["mark"] == "failure"
    assert found["campaign folder"]["words"].endswith("is full, or your quota there is used up")
    assert found["campaign folder"]["mend"].startswith("free some space")
    assert found["room"]["mark"] == "warning"
    assert found["file system"]["words"].endswith("is in memory (tmpfs): gone when the machine restarts")


def test_few_files_left(mounting: Callable[[str], subprocess.CompletedProcess[str]], make: MakeCampaign) -> None:
    root = make().root
    found = by_subject(mounting(f"mount -t tmpfs -o size=4g,nr_inodes=100 none {root}; {examine(root)}"))
    assert found["campaign folder"]["mark"] == "ok"
    assert "more files in" in found["room"]["words"]


def test_a_read_only_disk(mounting: Callable[[str], subprocess.CompletedProcess[str]], make: MakeCampaign) -> None:
    root = make().root
    found = by_subject(mounting(f"mount -t tmpfs -o ro none {root}; {examine(root)}"))
    assert found["campaign folder"]["mark"] == "failure"
    assert found["campaign folder"]["words"].endswith("is read-only")
    assert found["locks"]["mark"] == "warning"


def test_a_read_only_home_and_temporary_folder(
    mounting: Callable[[str], subprocess.CompletedProcess[str]], make: MakeCampaign, own_home: Path, tmp_path: Path
) -> None:
    """Both are needed less than the campaign's own folder; without any temporary one nothing goes on."""
    root = make().root
    (tmp_path / "tmp").mkdir()
    script = (
        f"mount -t tmpfs -o ro none {own_home}; mount -t tmpfs -o ro none {tmp_path / 'tmp'}; cd {root}\n"
        f"TMPDIR={tmp_path / 'tmp'} {examine(root)}"
    )
    found = by_subject(mounting(script))
    assert found["cache folder"]["mark"] == "warning"
    assert found["cache folder"]["words"].endswith("is read-only")
    # Python passes over a TMPDIR that it cannot write in.
    assert found["temporary folder"]["words"] == "/tmp"
    assert found["campaign folder"]["mark"] == "ok"
