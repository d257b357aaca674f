"""The same commands against a cluster: the campaign's files go there, kalloy itself drives there, results come back.

Plain ssh and rsync, with whatever the user's own ssh configuration says of keys, ports and jump hosts. Only one place
ever drives a campaign: exactly-once is the far driver's business, and this side only carries files.
"""

from __future__ import annotations

import os
import secrets
import shlex
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kalloy.errors import CampaignError, RemoteError, SpecError
from kalloy.workflows.campaign import SPEC_FILE, Campaign
from kalloy.workflows.files import read_record, write_json
from kalloy.workflows.lock import driver_lock

AT_SITE = "KALLOY_AT_SITE"
"""Set at the far end: the site that the campaign is driven at is the machine itself there."""
SSH = "KALLOY_SSH"
"""How ssh is started, where that is not ``ssh``."""
RECORD = "remote.json"
"""Where the campaign is driven; written before the first file goes there."""
MARK = ".kalloy-remote"
"""At the far end: whose folder it is."""
ASKED = ("/*.toml", "/*.yaml", "/*.yml", "/hpc_templates/", "/hpc_templates/**")
"""What is asked, at the campaign's top: this side's is the one that counts."""
OWN = ("/kalloy.db*", "/driver.lock", "/report/", f"/{RECORD}", ".*")
"""What each side has of its own."""
HEAVY = ("CHGCAR", "CHG", "WAVECAR", "AECCAR*", "LOCPOT", "ELFCAR", "gpaw.gpw")
"""What stays there: later stages take it there."""
LOST = 255
"""What ssh and rsync say where the connection, not the command, failed."""


@dataclass(frozen=True)
class Elsewhere:
    """A campaign whose site is reached over ssh."""

    root: Path
    site: str
    host: str
    """A ``Host`` of the user's ssh configuration."""
    folder: PurePosixPath
    """The campaign's folder there."""
    program: str
    """kalloy there."""

    @classmethod
    def of(cls, campaign: Campaign) -> Elsewhere | None:
        """None where the campaign is driven on this machine.

        Raises
        ------
        SpecError
            Where the site's table would not be known at the far end.
        CampaignError
            Where the campaign was given to another place before.
        """
        machine, site = campaign.spec.machine, campaign.spec.calculation.site
        here = machine.ssh is None or os.environ.get(AT_SITE) == site
        record = campaign.root / RECORD
        if here:
            if record.is_file() and AT_SITE not in os.environ:
                raise CampaignError(
                    f"this campaign is driven on {read_record(record, 'host')['host']}",
                    where=str(record),
                    mend=f"name that site again in {SPEC_FILE}; or cancel it there and remove {RECORD}",
                )
            return None
        assert machine.ssh is not None
        assert machine.folder is not None
        if site not in tomllib.loads((campaign.root / SPEC_FILE).read_text(encoding="utf-8")).get("site", {}):
            mend = f"copy the table [site.{site}] into {SPEC_FILE}, which goes there"
            raise SpecError(f"site '{site}' is known on this machine alone", where=SPEC_FILE, mend=mend)
        folder = PurePosixPath(machine.folder) / campaign.root.resolve().name
        return cls(campaign.root, site, machine.ssh, folder, machine.kalloy)

    # -- the whole of it -------------------------------------------------------

    def drive(self, words: Sequence[str]) -> int:
        """Bring the campaign there, run a command on it there, and bring back what has come of it.

        Parameters
        ----------
        words : ``["submit", "--max-jobs", "4"]``; the campaign is the folder there.

        Returns
        -------
        The far command's exit code.

        Raises
        ------
        RemoteError
            Where the connection fails or is lost: what runs there goes on.
        """
        with driver_lock(self.root):
            self.push()
        code = self.ask(words)
        with driver_lock(self.root):
            self.pull()
        return code

    def push(self) -> None:
        """Send what is not there yet, and what is asked as it is asked now; nothing there is deleted.

        Raises
        ------
        CampaignError
            Where another campaign lies there, or this one has been driven here before.
        """
        self._claim()
        source, target = f"{self.root.resolve()}/", f"{self.host}:{self.folder}/"
        self._rsync("--ignore-existing", *_without(*OWN), source, target)
        self._rsync(*(f"--include={name}" for name in ASKED), "--exclude=*", source, target)

    def pull(self) -> None:
        """Bring back everything but densities; end records last, so that an ended attempt is always whole here."""
        source, target = f"{self.host}:{self.folder}/", f"{self.root.resolve()}/"
        asked = [name.rstrip("/*") if name.endswith("**") else name for name in ASKED]
        self._rsync(*_without(*OWN, *asked, *HEAVY, "kalloy-end.json"), source, target)
        ends = ("--include=*/", "--include=kalloy-end.json", "--exclude=*", "--prune-empty-dirs")
        self._rsync(*_without(*OWN), *ends, source, target)

    def ask(self, words: Sequence[str]) -> int:
        """Run kalloy on the campaign there; its output is ours."""
        verb, *rest = words
        line = f"cd {_quote(self.folder)} && {AT_SITE}={shlex.quote(self.site)} {self._kalloy} {shlex.quote(verb)} . "
        terminal = ["-t"] if sys.stdout.isatty() and sys.stdin.isatty() else []
        done = subprocess.run([*_ssh(), *terminal, self.host, line + shlex.join(rest)], check=False)
        if done.returncode == LOST:
            raise self._lost()
        return done.returncode

    # -- inside -----------------------------------------------------------------

    @property
    def _kalloy(self) -> str:
        return shlex.join(shlex.split(self.program))

    def _claim(self) -> None:
        """Make the folder there ours, after a look whether the same kalloy is there."""
        record = self.root / RECORD
        mine = {"schema": 1, "site": self.site, "host": self.host, "folder": str(self.folder)}
        if record.is_file():
            known = read_record(record, *mine, "id")
            if {k: known.get(k) for k in mine} != mine:
                raise CampaignError(
                    f"this campaign is driven in {known['host']}:{known['folder']}",
                    where=str(record),
                    mend=f"name that place again; or cancel it there and remove {RECORD}",
                )
            identity = known["id"]
        else:
            if (self.root / "batches").is_dir() and any((self.root / "batches").iterdir()):
                mend = "start a new campaign, and `kalloy adopt` what is done"
                raise CampaignError("this campaign has been driven here before", where=str(self.root), mend=mend)
            identity = secrets.token_hex(8)
        self._require_version()
        write_json(record, {**mine, "id": identity})
        there = self._output(
            f"mkdir -p {_quote(self.folder)} && cd {_quote(self.folder)} && "
            f'if [ -e {MARK} ]; then cat {MARK}; elif [ -z "$(ls -A)" ]; then echo {identity} | tee {MARK}; '
            f"else echo occupied; fi"
        )
        if there != identity:
            raise CampaignError(
                "another campaign lies there" if there != "occupied" else "the folder there is not empty",
                where=f"{self.host}:{self.folder}",
                mend="rename this campaign's folder, or give the site another folder",
            )

    def _require_version(self) -> None:
        from kalloy import __version__

        said = self._output(f"{self._kalloy} --version || true")
        if not said.startswith("kalloy "):
            mend = f'install kalloy {__version__} there, or name it: kalloy = "/path/to/kalloy"'
            raise RemoteError(f"no kalloy on {self.host}", where=self.program, mend=mend)
        if said != f"kalloy {__version__}":
            raise RemoteError(
                f"{said} on {self.host} and kalloy {__version__} here", mend="install the same version at both ends"
            )

    def _output(self, line: str) -> str:
        done = subprocess.run([*_ssh(), self.host, line], check=False, capture_output=True, text=True)
        if done.returncode == LOST:
            raise self._lost(done.stderr)
        if done.returncode:
            raise RemoteError(f"{self.host}: {_last(done.stderr) or f'exit code {done.returncode}'}")
        return done.stdout.strip()

    def _rsync(self, *words: str) -> None:
        # Protected arguments: names with spaces arrive whole, whatever the far shell is.
        line = ["rsync", "--archive", "--protect-args", "-e", shlex.join(_ssh()), *words]
        try:
            done = subprocess.run(line, check=False, capture_output=True, text=True)
        except FileNotFoundError:
            raise RemoteError("no rsync on this machine", mend="install it (Debian: apt-get install rsync)") from None
        if done.returncode == LOST:
            raise self._lost(done.stderr)
        # 24: files vanished while they were read, as a running engine's do.
        if done.returncode not in (0, 24):
            raise RemoteError(f"rsync with {self.host}: {_last(done.stderr)}", mend="type the same command again")

    def _lost(self, said: str = "") -> RemoteError:
        why = f": {_last(said)}" if said else ""
        return RemoteError(
            f"no connection to {self.host}{why}",
            mend="what runs there goes on; look again with `kalloy status`, or type the same command again",
        )


def ssh_program() -> list[str]:
    """How ssh is started."""
    return shlex.split(os.environ.get(SSH, "ssh"))


def _ssh() -> list[str]:
    """ssh without questions, one connection for all calls of a minute."""
    folder = Path(tempfile.gettempdir()) / f"kalloy-ssh-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    words = ssh_program()
    if folder.stat().st_uid != os.getuid() or folder.is_symlink():  # somebody else's: no socket of ours goes there
        return [*words, "-o", "BatchMode=yes"]
    share = ("ControlMaster=auto", f"ControlPath={folder}/%C", "ControlPersist=60")
    return [*words, "-o", "BatchMode=yes", *(word for option in share for word in ("-o", option))]


def _without(*names: str) -> list[str]:
    return [f"--exclude={name}" for name in names]


def _quote(path: PurePosixPath) -> str:
    return shlex.quote(str(path))


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
