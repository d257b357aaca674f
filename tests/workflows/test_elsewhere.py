"""A campaign at a cluster: a real ssh server on this machine, real rsync, the stand-in engine at the far end."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kalloy.errors import SpecError
from kalloy.workflows.spec import load_spec

pytestmark = pytest.mark.xdist_group("elsewhere")
SSHD = shutil.which("sshd") or shutil.which("/usr/sbin/sshd")

SPEC = """
[host]
structure = "CsPbBr3"

[[substitution]]
replace = "Cs"
with = "K"
count = 1

[calculation]
preset = "smoke"
engine = "gpaw"
site = "cluster"

[[step]]
stages = ["static"]
on = {{ host = true }}

[site.cluster]
ssh = "loop"
folder = "{folder}"
kalloy = "{kalloy}"
commands = {{ gpaw = "{engine}" }}
jobs = 1
"""


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """How ssh is started so that the host ``loop`` is a server of this test's own."""
    for program in ("ssh", "ssh-keygen", "rsync"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} (Debian: apt-get install openssh-client rsync)")
    if SSHD is None:
        pytest.skip("no sshd (Debian: apt-get install openssh-server)")
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where a server of root's shuts its children in
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
        f"PidFile {folder}/pid\nStrictModes no\nPasswordAuthentication no\n"
        "PermitRootLogin prohibit-password\nUsePAM no\n"
    )
    (folder / "ssh_config").write_text(
        f"Host loop\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {folder}/user\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {folder}/known\n  StrictHostKeyChecking accept-new\n  LogLevel ERROR\n"
    )
    command = f"ssh -F {folder}/ssh_config"
    with subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=subprocess.DEVNULL) as server:
        deadline = time.monotonic() + 20
        while subprocess.run([*shlex.split(command), "loop", "true"], check=False, capture_output=True).returncode:
            if server.poll() is not None or time.monotonic() > deadline:
                server.kill()
                pytest.skip("no ssh server can be started here")
            time.sleep(0.2)
        yield command
        server.terminate()


@pytest.fixture
def far(tmp_path: Path) -> Path:
    """Where campaigns lie at the far end."""
    folder = tmp_path / "far end"
    folder.mkdir()
    return folder


@pytest.fixture
def here(tmp_path: Path, far: Path, standin: str) -> Path:
    """A campaign on this side; its folder's name needs quoting."""
    root = tmp_path / "my campaign's"
    root.mkdir()
    path = f"env PYTHONPATH={os.environ['PYTHONPATH']} " if "PYTHONPATH" in os.environ else ""
    text = SPEC.format(folder=far, kalloy=f"{path}{sys.executable} -m kalloy", engine=standin)
    (root / "kalloy.toml").write_text(text)
    return root


def say(kalloy: str, ssh: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KALLOY_SSH": ssh}
    return subprocess.run([kalloy, *words], check=False, capture_output=True, text=True, env=environment, timeout=120)


def test_a_campaign_is_driven_there_and_its_results_come_back(here: Path, far: Path, ssh: str, kalloy: str) -> None:
    done = say(kalloy, ssh, "run", str(here))
    there = far / here.name
    attempt = "host/static/a01"
    assert done.returncode == 0, done.stdout + done.stderr
    assert "host static: done" in done.stdout
    owner = json.loads((there / attempt / "claim/owner.json").read_text())
    assert owner["tag"] in [b.name for b in (there / "batches").iterdir()]
    for name in ("kalloy-end.json", "vasprun.xml", "CONTCAR", "INCAR"):
        assert (here / attempt / name).read_bytes() == (there / attempt / name).read_bytes()
    assert (there / attempt / "gpaw.gpw").exists()
    assert not (here / attempt / "gpaw.gpw").exists()  # densities stay there
    assert not (there / "remote.json").exists()
    collected = say(kalloy, ssh, "collect", str(here), "--json")
    assert [r["member"] for r in json.loads(collected.stdout)] == ["host"]
    status = say(kalloy, ssh, "status", str(here), "--json")
    assert [r["state"] for r in json.loads(status.stdout)] == ["done"]
    assert status.returncode == 0


@pytest.mark.slow
def test_the_doctor_looks_there_too(here: Path, far: Path, ssh: str, kalloy: str) -> None:
    """Nothing is made at either end before the campaign is there; then the far doctor's findings are among ours."""

    def findings() -> dict[str, tuple[str, str]]:
        done = say(kalloy, ssh, "doctor", str(here), "--json")
        return {r["subject"]: (r["mark"], r["words"]) for r in json.loads(done.stdout)}

    before = findings()
    assert before["cluster: ssh"][0] == before["cluster: folder"][0] == before["cluster: clock"][0] == "ok"
    assert "not there yet" in before["cluster: campaign"][1]
    assert list(far.iterdir()) == []
    assert [p.name for p in here.iterdir()] == ["kalloy.toml"]
    assert say(kalloy, ssh, "run", str(here)).returncode == 0
    after = findings()
    assert after["cluster: attempts"] == ("ok", "0 running, 1 done, of 1")
    assert after["cluster: campaign folder"][1] == str(far / here.name)


def test_a_second_time_nothing_runs_again(here: Path, far: Path, ssh: str, kalloy: str) -> None:
    assert say(kalloy, ssh, "run", str(here)).returncode == 0
    before = sorted(p.name for p in (far / here.name / "batches").iterdir())
    assert say(kalloy, ssh, "run", str(here)).returncode == 0
    assert sorted(p.name for p in (far / here.name / "batches").iterdir()) == before
    assert [p.name for p in (far / here.name / "host/static").iterdir()] == ["a01"]


def test_only_one_place_drives(here: Path, far: Path, ssh: str, kalloy: str) -> None:
    assert say(kalloy, ssh, "run", str(here)).returncode == 0
    spec = here / "kalloy.toml"
    text = spec.read_text()
    spec.write_text(text.replace('ssh = "loop"\n', "").replace(f'folder = "{far}"\n', ""))
    refused = say(kalloy, ssh, "run", str(here))
    assert refused.returncode == 1
    assert "driven on loop" in refused.stderr
    other = far / "other"
    other.mkdir()
    spec.write_text(text.replace(f'folder = "{far}"', f'folder = "{other}"'))
    assert "driven in loop:" in say(kalloy, ssh, "submit", str(here)).stderr
    assert not list(other.iterdir())


def test_nobody_elses_folder_is_touched(here: Path, far: Path, ssh: str, kalloy: str) -> None:
    (far / here.name).mkdir()
    (far / here.name / "thesis.tex").write_text("years of work")
    refused = say(kalloy, ssh, "submit", str(here))
    assert refused.returncode == 1
    assert "not empty" in refused.stderr
    assert [p.name for p in (far / here.name).iterdir()] == ["thesis.tex"]


def test_a_campaign_that_was_driven_here_does_not_move(here: Path, ssh: str, kalloy: str) -> None:
    (here / "batches" / "kaaaaaaaaaaaaaa").mkdir(parents=True)
    assert "driven here before" in say(kalloy, ssh, "submit", str(here)).stderr
    assert not (here / "remote.json").exists()


@pytest.mark.parametrize(
    ("program", "said"), [("no-such-kalloy", "no kalloy on loop"), ("echo kalloy", "same version")]
)
def test_the_far_kalloy_is_looked_at_first(
    here: Path, far: Path, ssh: str, kalloy: str, program: str, said: str
) -> None:
    spec = here / "kalloy.toml"
    lines = [f'kalloy = "{program}"' if x.startswith("kalloy =") else x for x in spec.read_text().splitlines()]
    spec.write_text("\n".join(lines))
    refused = say(kalloy, ssh, "submit", str(here))
    assert said in refused.stderr
    assert refused.returncode == 1
    assert not list(far.iterdir())


def test_no_connection_is_no_failure(here: Path, ssh: str, kalloy: str, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        config = tmp_path / "ssh_config"
        config.write_text(f"Host loop\n  HostName 127.0.0.1\n  Port {closed.getsockname()[1]}\n")
        said = say(kalloy, f"ssh -F {config}", "submit", str(here))
    assert said.returncode == 1
    assert "no connection to loop" in said.stderr
    assert "what runs there goes on" in said.stderr
    assert not (here / "remote.json").exists()


@pytest.mark.slow
def test_a_push_that_was_cut_off_is_repeated(here: Path, far: Path, ssh: str, kalloy: str) -> None:
    """The folder there is claimed, and nothing else has arrived."""
    assert say(kalloy, ssh, "run", str(here)).returncode == 0
    there = far / here.name
    for entry in there.iterdir():
        if entry.name != ".kalloy-remote":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    assert say(kalloy, ssh, "run", str(here)).returncode == 0
    assert (there / "kalloy.toml").read_bytes() == (here / "kalloy.toml").read_bytes()


def test_before_anything_is_there_status_says_so(here: Path, ssh: str, kalloy: str) -> None:
    assert "nothing is on loop yet" in say(kalloy, ssh, "status", str(here)).stderr


@pytest.mark.parametrize(
    ("line", "word"),
    [('ssh = "-oProxyCommand=evil"', "ssh"), ('folder = "relative"', "folder"), ('ssh = "a b"', "ssh")],
)
def test_a_host_is_a_name_and_a_folder_a_path(here: Path, line: str, word: str) -> None:
    spec = here / "kalloy.toml"
    lines = [line if x.startswith(f"{word} =") else x for x in spec.read_text().splitlines()]
    spec.write_text("\n".join(lines))
    with pytest.raises(SpecError, match=word):
        load_spec(spec)
