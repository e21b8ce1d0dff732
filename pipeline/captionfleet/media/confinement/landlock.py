"""Restricts this process to named files with Landlock, and forbids sockets (worker process).

System calls are made by number, as no C library wraps them; see landlock(7) and linux/landlock.h.
Nothing here needs a privilege. Each version of the interface ("ABI") adds restrictions.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from enum import IntFlag
from typing import NamedTuple

__all__ = ["Files", "abi", "restrict"]

# These numbers are the same on every architecture, as new system calls share one numbering.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH = 1
_NET_ABI, _SCOPE_ABI = 4, 6
_BIND_AND_CONNECT_TCP = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11


class _Right(IntFlag):
    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13  # rename and link across folders: ABI 2
    TRUNCATE = 1 << 14  # ABI 3
    IOCTL_DEV = 1 << 15  # ABI 5


_ABI_1 = _Right.REFER - 1
_ADDED = {2: _Right.REFER, 3: _Right.TRUNCATE, 5: _Right.IOCTL_DEV}
_OF_FILES = _Right.EXECUTE | _Right.WRITE_FILE | _Right.READ_FILE | _Right.TRUNCATE
_READ = _Right.READ_FILE | _Right.READ_DIR
# Without REFER no file can be linked or renamed into another folder, even a writable one.
_WRITE = _READ | _Right.REMOVE_FILE | _Right.MAKE_REG | _Right.WRITE_FILE | _Right.TRUNCATE


class Files(NamedTuple):
    """Paths that may be read, and paths that may also be written; folders include their content."""

    read: tuple[str, ...]
    write: tuple[str, ...]


def abi() -> int:
    """The Landlock version of the kernel, 0 where it has none."""
    return max(0, _syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG))


def restrict(files: Files, version: int) -> bool:
    """Give up all other files, TCP, abstract sockets and signals to other processes, permanently.

    Needs `no_new_privs`. Missing paths are skipped.
    """
    handled = _handled(version)
    ruleset = _ruleset(handled, version)
    if ruleset < 0:
        return False
    try:
        for paths, rights in zip(files, (_READ, _WRITE), strict=True):
            _allow(ruleset, paths, rights & handled)
        return _syscall(_RESTRICT_SELF, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _handled(version: int) -> int:
    return _ABI_1 | sum(right for since, right in _ADDED.items() if since <= version)


def _ruleset(handled: int, version: int) -> int:
    attributes = struct.pack("=Q", handled)
    if version >= _NET_ABI:
        attributes += struct.pack("=Q", _BIND_AND_CONNECT_TCP)
    if version >= _SCOPE_ABI:
        attributes += struct.pack("=Q", _ABSTRACT_SOCKETS_AND_SIGNALS)
    return _syscall(_CREATE_RULESET, attributes, len(attributes), 0)


def _allow(ruleset: int, paths: Iterable[str], rights: int) -> None:
    for path in paths:
        with suppress(OSError):
            target = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                own = rights if os.path.isdir(path) else rights & _OF_FILES  # noqa: PTH112 - a light worker
                rule = struct.pack("=Qi", own, target)
                if own and _syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0) < 0:
                    raise OSError(errno.EINVAL, path)
            finally:
                os.close(target)


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    """The result, or -1; passes every number as wide as a register."""
    wide = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result: int = ctypes.CDLL(None).syscall(ctypes.c_long(number), *wide)
    return result
