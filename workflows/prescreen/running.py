"""Every member relaxed, several at a time, each in a process of one thread. Killed anywhere, it goes on."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, Protocol

from kalloy.errors import EngineError, KalloyError
from kalloy.parsers.many import begin_worker
from kalloy.structures.crystal import Crystal
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.lock import driver_lock
from kalloy.workflows.members import Member
from kalloy.workflows.prescreen.models import Model
from kalloy.workflows.prescreen.relaxation import relax
from kalloy.workflows.prescreen.store import Record, Store, prescreened_members

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Watcher(Protocol):
    """Who is told how things go."""

    def began(self, done: int, total: int, jobs: int) -> None:
        """So many of the members were relaxed before."""

    def relaxed(self, record: Record) -> None:
        """One more is."""

    def failed(self, member: str, why: str) -> None:
        """One could not be."""


def prescreen(campaign: Campaign, store: Store, watcher: Watcher, jobs: int) -> bool:
    """Relax the host and every configuration that has no record yet.

    Parameters
    ----------
    jobs : relaxations side by side.

    Returns
    -------
    Whether everyone has a record now.

    Raises
    ------
    InputError
        Where the calculator cannot be made.
    EngineError
        Where a process died, for want of memory mostly.
    LockedError
        Where another prescreen works in the same folder.
    """
    store.write_model(campaign.spec.prescreen)
    with driver_lock(store.folder):
        members = prescreened_members(campaign)
        done = store.records(members)
        left = [m for m in members if m.label not in done]
        jobs = max(1, min(jobs, len(left)))
        watcher.began(len(done), len(members), jobs)
        work = _alone if jobs == 1 else _together
        return all([_told(watcher, store, m, why) for m, why in work(campaign.root, store, left, jobs)])


def _told(watcher: Watcher, store: Store, member: Member, why: str | None) -> bool:
    record = store.record(member)
    if record is None:
        watcher.failed(member.label, why or "it left no record")
        return False
    watcher.relaxed(record)
    return True


def _alone(root: Path, store: Store, members: list[Member], _: int) -> Iterator[tuple[Member, str | None]]:
    worker = _Worker(root, store.model) if members else None
    for member in members:
        assert worker is not None
        yield member, worker.relax(member.label, member.identity, member.crystal)


def _together(root: Path, store: Store, members: list[Member], jobs: int) -> Iterator[tuple[Member, str | None]]:
    """Processes are started anew and not forked: libraries with threads, torch among them, do not survive a fork."""
    context = multiprocessing.get_context("spawn")
    _track_through_hangups()
    with _one_thread_each():
        pool = ProcessPoolExecutor(jobs, context, initializer=_begin, initargs=(root, store.model, os.getpid()))
        try:
            sent: dict[Future[str | None], Member] = {
                pool.submit(_relax, m.label, m.identity, m.crystal): m for m in members
            }
            for future in as_completed(sent):
                yield sent[future], _outcome(future)
        finally:
            # What is done is on disk, and what is not is begun again: nobody waits for the rest of it.
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()


def _outcome(future: Future[str | None]) -> str | None:
    from concurrent.futures.process import BrokenProcessPool

    try:
        return future.result()
    except BrokenProcessPool:
        mend = "give it fewer --jobs if memory ran out, and run it again: what is done is kept"
        raise EngineError("a process of the prescreen died or could not load its model", mend=mend) from None


def _track_through_hangups() -> None:
    """Start Python's process that tidies up after pools so that a closed terminal does not end it before its pool.

    By itself it is deaf to Ctrl-C and SIGTERM, but not to SIGHUP.
    """
    hangup = {signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, hangup)  # which it inherits
    try:
        resource_tracker.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, hangup)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Children read these when they load their libraries."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# -- in the process that relaxes -----------------------------------------------------


class _Worker:
    """One calculator, made once."""

    def __init__(self, root: Path, model: Model) -> None:
        self.store, self.calculator = Store(root, model), model.build(root)

    def relax(self, label: str, identity: str, crystal: Crystal) -> str | None:
        """Relax and save; in words why not, where the calculator fails."""
        try:
            relaxed = relax(crystal, self.calculator, self.store.model, seed=int(identity, 16) % 2**32)
        except KalloyError:
            raise
        except Exception as error:  # somebody else's calculator, which may raise anything
            return f"{type(error).__name__}: {error}"
        self.store.save(label, identity, relaxed)
        return None


_worker: Any = None


def _begin(root: Path, model: Model, parent: int) -> None:
    """Make the calculator; die with the parent, and leave Ctrl-C to it."""
    global _worker
    begin_worker(parent)
    _worker = _Worker(root, model)


def _relax(label: str, identity: str, crystal: Crystal) -> str | None:
    found: str | None = _worker.relax(label, identity, crystal)
    return found
