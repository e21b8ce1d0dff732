"""Identifies the process that left a record, and whether it still lives (main process)."""

import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Fate", "Owner"]

Fate = Literal["alive", "dead", "elsewhere"]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_START_FIELD = 19  # starttime, counted from what follows the command's name


class Owner(BaseModel):
    """A process: its number may be reused, so boot id and start time are kept as well."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    pid: int = Field(ge=1)
    host: str = Field(max_length=255)
    boot_id: str = Field(max_length=64)
    start_ticks: str = Field(max_length=32, pattern=r"^\d*$")

    @classmethod
    def this(cls) -> Self:
        """This process."""
        pid = os.getpid()
        return cls(pid=pid, host=os.uname().nodename, boot_id=_boot_id(), start_ticks=_start(pid))

    def fate(self) -> Fate:
        """Whether it still runs; unknown for a process on another machine."""
        if self.host != os.uname().nodename:
            return "elsewhere"
        if self.boot_id != _boot_id():
            return "dead"
        return "alive" if _start(self.pid) == self.start_ticks and _runs(self.pid) else "dead"

    def __str__(self) -> str:
        return f"pid {self.pid} on host {self.host}"


@dataclass(frozen=True, slots=True)
class _Stat:
    state: str
    start_ticks: str


def _stat(pid: int) -> _Stat | None:
    """The process's fields in /proc after the command's name, which may hold any bytes."""
    try:
        raw = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = raw.rpartition(")")[2].split()
    return _Stat(fields[0], fields[_START_FIELD]) if len(fields) > _START_FIELD else None


def _start(pid: int) -> str:
    found = _stat(pid)
    return found.start_ticks if found else ""


def _runs(pid: int) -> bool:
    found = _stat(pid)
    if found is not None:
        return found.state not in {"Z", "X"}
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@cache
def _boot_id() -> str:
    try:
        found = _BOOT_ID.read_text().strip()
    except OSError:
        return ""
    return found if re.fullmatch(r"[0-9a-f-]{1,64}", found) else ""
