"""Where kalloy writes: whether it can, how much there is room for, and on what kind of file system that is."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kalloy.workflows.doctor.finding import Finding, Mark, ok, warning
from kalloy.workflows.execution.quota import FULL, room

NETWORK = {
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "ceph", "lustre", "gpfs", "beegfs", "panfs", "pvfs2"),
    *("orangefs", "glusterfs", "wekafs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.beegfs", "fuse.s3fs"),
}
"""File systems of other machines, by the kernel's names."""
IN_MEMORY = ("tmpfs", "ramfs", "devtmpfs")
LITTLE_ROOM, FEW_FILES = 1e9, 10_000
"""Bytes and files below which a campaign of VASP's outputs may not end."""


@dataclass(frozen=True)
class Mount:
    """What a folder lies on."""

    point: str
    kind: str
    """The kernel's name: ``ext4``, ``nfs4``, ``lustre``."""
    options: tuple[str, ...]


def mount_of(folder: Path, mountinfo: str) -> Mount | None:
    """The file system of a folder, from the text of ``/proc/self/mountinfo``; None where that does not tell."""
    path, best = os.path.realpath(folder), None
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, rest = before.split(), after.split()
        if len(fields) < 6 or len(rest) < 2:
            continue
        point = fields[4].encode().decode("unicode_escape")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and (best is None or len(point) >= len(best.point)):
            options = f"{fields[5]},{rest[2] if len(rest) > 2 else ''}"
            best = Mount(point, rest[0], tuple(filter(None, options.split(","))))
    return best


def mountinfo() -> str:
    """The kernel's list of mounts; empty where it shows none."""
    try:
        return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def writable(subject: str, folder: Path, mark: Mark, mend: str) -> Finding:
    """By writing 64 kB there and removing them; ``mark`` where that fails."""
    try:
        with room(folder):
            return ok(subject, f"{folder}")
    except OSError as error:
        return Finding(mark, subject, f"{folder}: {_why(error)}", _mend(error, mend))


def _why(error: OSError) -> str:
    said = {errno.EROFS: "is read-only", errno.EACCES: "is not yours to write in", errno.ENOENT: "is not there"}
    said |= dict.fromkeys(FULL, "is full, or your quota there is used up")
    return said.get(error.errno or 0, error.strerror or str(error))


def _mend(error: OSError, mend: str) -> str:
    return f"free some space (`df -h`, `quota`), or {mend}" if error.errno in FULL else mend


def space(subject: str, folder: Path) -> Iterator[Finding]:
    """Free bytes and free files."""
    try:
        found = os.statvfs(folder)
    except OSError as error:
        yield warning(subject, f"{folder}: {error.strerror}", "look at it with `df`")
        return
    free = found.f_bavail * found.f_frsize
    if free < LITTLE_ROOM:
        words = f"{free / 1e6:.0f} MB free in {folder}"
        yield warning(subject, words, "free some; `kalloy check` says how much the campaign writes")
    elif found.f_files and found.f_favail < FEW_FILES:
        yield warning(subject, f"room for {found.f_favail} more files in {folder}", "remove files that nobody needs")
    else:
        yield ok(subject, f"{free / 1e9:.0f} GB free")


def file_system(subject: str, folder: Path, text: str) -> Finding:
    """What kind the folder lies on; what is lost at the next start or seen by one machine alone is named."""
    mount = mount_of(folder, text)
    if mount is None:
        return ok(subject, f"{folder}: its kind is not known")
    if mount.kind in IN_MEMORY:
        return warning(
            subject, f"{folder} is in memory ({mount.kind}): gone when the machine restarts", "move it to a disk"
        )
    local = [o for o in mount.options if o in ("nolock", "localflock", "local_lock=all", "local_lock=flock")]
    if local:
        words = f"{mount.kind} with {local[0]}: another machine does not see who drives the campaign"
        return warning(subject, words, "drive it from one machine alone")
    if mount.kind in NETWORK:
        return ok(subject, f"{mount.kind}, a network file system, mounted at {mount.point}")
    return ok(subject, f"{mount.kind}, mounted at {mount.point}")


def temporary(directory: str | None = None) -> Finding:
    """Where Python puts what is needed for a moment."""
    mend = "name another in TMPDIR"
    try:
        folder = Path(directory or tempfile.gettempdir())
    except FileNotFoundError as error:
        return Finding(Mark.FAILURE, "temporary folder", str(error.strerror or error), mend)
    return writable("temporary folder", folder, Mark.FAILURE, mend)


def existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    return next((p for p in (folder, *folder.parents) if p.is_dir()), Path("/"))
