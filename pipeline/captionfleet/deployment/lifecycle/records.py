"""Records on disk what runs have switched on and must switch off again (main process).

Each record is written before its call is made: whatever kills a run, the records name everything
that may still be on and cost money.

Others may write to an output folder, or send one as an archive. A planted record could send a key
to a server of theirs, or claim that a run created a deployment, which would then be deleted. So a
record there counts only if the state folder, which belongs to the user alone, holds the same one.
"""

import errno
import os
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import anyio.to_thread
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from captionfleet import text
from captionfleet.config import ControlRef
from captionfleet.config.keys import KeyPair, key_pair
from captionfleet.deployment.lifecycle.owner import Fate, Owner
from captionfleet.deployment.protocol.calls import Target
from captionfleet.errors import OutputError
from captionfleet.ledger.files.disk import create_folder, replace_atomically
from captionfleet.ledger.files.names import LEFT_ON
from captionfleet.system.regular_file import open_regular
from captionfleet.telemetry import get_log, utc_now

__all__ = ["APPEARS_S", "AtEnd", "Kept", "Record", "Records", "state_folder"]

APPEARS_S = 60.0
"""How long after its creation a deployment may be unknown to the control plane."""

AtEnd = Literal["scale-to-zero", "delete", "keep"]

_NAME = r"^[A-Za-z0-9_-]{1,63}$"
_MAX_BYTES = 64 * 2**10
_MAX_RECORDS = 1000
_LOCK_S = 60.0


class Record(BaseModel):
    """A deployment that a run brought up, and how to end it.

    `created` says whether the run created it: no other deployment is ever deleted. `asked_at_utc`
    is the time of the last request to create it. `is_over` says that the run has ended, and left it
    on for a run on another machine. The record names the key's environment variable, and never
    holds the key.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    record_id: str = Field(default_factory=lambda: uuid.uuid4().hex, pattern=r"^[0-9a-f]{32}$")
    owner: Owner = Field(default_factory=Owner.this)
    api_base: str = Field(max_length=500)
    account: str = Field(pattern=_NAME)
    deployment_id: str = Field(pattern=_NAME)
    api_key_env: str = Field(max_length=200)
    created: bool = False
    at_end: AtEnd = "scale-to-zero"
    ignore_checks: bool = False
    is_over: bool = False
    asked_at_utc: str = Field(default="", max_length=40)
    written_at_utc: str = Field(default_factory=utc_now, max_length=40)

    @property
    def may_yet_appear(self) -> bool:
        """Whether it was created so recently that the control plane may not know it yet."""
        age_s = _age_s(self.asked_at_utc)
        return age_s is not None and age_s < APPEARS_S

    @property
    def run(self) -> str:
        """The run that wrote it, and how long ago, for people."""
        age_s = _age_s(self.written_at_utc)
        return str(self.owner) if age_s is None else f"{self.owner} ({text.rough(age_s)} ago)"

    @property
    def fate(self) -> Fate:
        """Whether the run that wrote it may still use the deployment."""
        return "dead" if self.is_over else self.owner.fate()

    @property
    def ref(self) -> ControlRef:
        """The deployment as a ControlRef."""
        return ControlRef(self.api_base, self.account, self.deployment_id)

    @property
    def target(self) -> Target:
        """The deployment, as calls name it."""
        return Target(self.account, self.deployment_id)


@dataclass(frozen=True, slots=True)
class Kept:
    """A record and where it was found.

    Attributes:
        fate: whether the run that wrote it still runs.
        is_vouched_for: whether this user's own run wrote it, as the state folder shows.
        path: where it was found.
    """

    record: Record
    fate: Fate
    is_vouched_for: bool
    path: Path

    @property
    def key_pairs(self) -> frozenset[KeyPair]:
        """The server and the key variable that a run of this user named together."""
        if not self.is_vouched_for:
            return frozenset()
        return frozenset({key_pair(self.record.api_base, self.record.api_key_env)})


class Records:
    """Records in the user's state folder, and in the run's output folder, if there is one.

    The output folder survives a container whose home folder does not.

    Args:
        output: The output folder.
        is_locked: Whether this process holds the output folder's lock. Only one run can, so other
            records there are of dead runs.
    """

    def __init__(self, output: Path | None = None, *, is_locked: bool = False) -> None:
        state = state_folder()
        self._state = state / "left-on" if state else None
        self._output = output / LEFT_ON if output else None
        self._is_locked = is_locked

    def write(self, record: Record) -> None:
        """Write a record, or replace it.

        Raises:
            OutputError: no folder can be written.
        """
        problem: OutputError | None = None
        written = 0
        for folder in self._folders():
            try:
                create_folder(folder)
                path = folder / f"{record.record_id}.json"
                replace_atomically(path, iter([record.model_dump_json().encode()]))
                written += 1
            except OutputError as error:
                problem = error
        if problem is not None and not written:
            raise problem

    def remove(self, record: Record) -> None:
        """Remove the record of a deployment that is off."""
        for folder in self._folders():
            try:
                (folder / f"{record.record_id}.json").unlink(missing_ok=True)
                with suppress(OSError):  # it holds other records, or does not exist
                    folder.rmdir()
            except OSError as error:
                get_log().warning("a record cannot be removed", reason=error.strerror or "")

    def all(self) -> list[Kept]:
        """The records of all runs without duplicates, those in the state folder first."""
        found: dict[str, Kept] = {}
        is_ours = not _is_below(self._state, self._output)
        for path, record in _read_folder(self._state):
            own = record if is_ours else _as_hint(record)
            found[record.record_id] = Kept(own, record.fate, is_ours, path)
        for path, record in _read_folder(self._output):
            known = found.get(record.record_id)
            if known is None:
                fate = self._fate_there(record)
                hint = Kept(_as_hint(record), fate, is_vouched_for=False, path=path)
                found[record.record_id] = hint
            elif record == known.record and known.fate == "elsewhere":
                found[record.record_id] = replace(known, fate="dead")
        return list(found.values())

    @asynccontextmanager
    async def exclusively(self) -> AsyncIterator[None]:
        """Lock out other runs on this machine that would switch deployments on or off.

        If the state folder cannot be written, or another run holds the lock too long, go on without
        it.
        """
        if self._state is None:
            yield
            return
        lock = FileLock(self._state.with_suffix(".lock"), thread_local=False)
        try:
            await anyio.to_thread.run_sync(_acquire, lock, self._state.parent)
            yield
        finally:
            lock.release()

    def _fate_there(self, record: Record) -> Fate:
        """Whether a run that used the output folder still runs, on any machine."""
        fate = record.fate
        is_over = fate == "elsewhere" or (self._is_locked and record.owner != Owner.this())
        return "dead" if is_over else fate

    def _folders(self) -> list[Path]:
        return [folder for folder in (self._state, self._output) if folder is not None]


def state_folder() -> Path | None:
    """The folder for state that outlives this program; None for a user without a home folder."""
    given = os.environ.get("XDG_STATE_HOME", "")
    try:
        base = Path(given) if given.startswith("/") else Path.home() / ".local/state"
    except RuntimeError:
        return None
    return base / "captionfleet"


def _acquire(lock: FileLock, folder: Path) -> None:
    try:
        create_folder(folder)
        lock.acquire(timeout=_LOCK_S)
    except (OSError, OutputError, Timeout):
        get_log().warning("the state folder cannot be locked", path=str(folder))


def _is_below(state: Path | None, output: Path | None) -> bool:
    """Whether anyone who can write to the output folder can also write to the state folder."""
    if state is None or output is None:
        return False
    output = output.parent
    return Path(os.path.realpath(state)).is_relative_to(os.path.realpath(output))


def _age_s(at_utc: str) -> float | None:
    """Seconds since then; None for no time, and for one in the future."""
    try:
        age_s = (datetime.now(UTC) - datetime.fromisoformat(at_utc)).total_seconds()
    except (ValueError, TypeError):
        return None
    return age_s if age_s >= 0 else None


def _as_hint(record: Record) -> Record:
    return record.model_copy(update={"created": False})


def _read_folder(folder: Path | None) -> Iterable[tuple[Path, Record]]:
    if folder is None:
        return
    try:
        paths = sorted(folder.glob("*.json"))[:_MAX_RECORDS]
    except OSError:
        return
    for path in paths:
        try:
            yield path, _read(path)
        except FileNotFoundError:
            continue  # its run has just ended and removed it
        except (OSError, ValidationError):
            get_log().warning("a record of what was left on cannot be read", path=str(path))


def _read(path: Path) -> Record:
    """Read a record that this user wrote."""
    handle = open_regular(path)
    with os.fdopen(handle, "rb") as file:
        if os.fstat(handle).st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "it is another user's")
        return Record.model_validate_json(file.read(_MAX_BYTES))
