"""Decides by name which files a walk takes, and why it passes over others; pure (main process)."""

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from captionfleet.config import InputConfig

__all__ = ["PassedOver", "Patterns", "Selection"]

_PARTIAL_ENDINGS = (".part", ".crdownload", ".tmp", ".partial", ".download")
_WILD = set("*?[")


class PassedOver(StrEnum):
    """Why something under a source is not captioned; part of the output format."""

    HIDDEN = "hidden"
    PARTIAL = "partial"
    EMPTY = "empty"
    NOT_VIDEO = "not_video"
    EXCLUDED = "excluded"
    SYMLINK_OUTSIDE = "symlink_outside"
    SYMLINK_FOLDER = "symlink_folder"
    ALIAS = "alias"
    BROKEN_SYMLINK = "broken_symlink"
    NOT_A_FILE = "not_a_file"
    DUPLICATE = "duplicate"
    UNREADABLE_FOLDER = "unreadable_folder"
    UNREADABLE = "unreadable"
    VANISHED = "vanished"
    STILL_CHANGING = "still_changing"


@dataclass(frozen=True, slots=True)
class Patterns:
    """Shell patterns, ignoring case; a name has to match one.

    Patterns such as `*.mp4`, which are most of them, are kept as plain endings: matching a million
    names against a regular expression of thirty alternatives takes ten times longer.
    """

    endings: tuple[str, ...]
    others: re.Pattern[str] | None

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Self:
        """Compile the patterns."""
        every = [pattern.lower() for pattern in patterns]
        endings = [p[1:] for p in every if p[:1] == "*" and not _WILD & set(p[1:])]
        others = [fnmatch.translate(p) for p in every if p[:1] != "*" or _WILD & set(p[1:])]
        return cls(tuple(endings), re.compile("|".join(others)) if others else None)

    def match(self, text: str) -> bool:
        """Whether one pattern matches the whole text."""
        text = text.lower()
        if self.endings and text.endswith(self.endings):
            return True
        return self.others is not None and self.others.match(text) is not None


@dataclass(frozen=True, slots=True)
class Selection:
    """The job's include and exclude patterns; `relative` is the path from the source folder."""

    include: Patterns
    exclude: Patterns

    @classmethod
    def of(cls, config: InputConfig) -> Self:
        """The patterns of a job file."""
        return cls(Patterns.of(config.include), Patterns.of(config.exclude))

    def file_reason(self, name: str, relative: str) -> PassedOver | None:
        """Why a file of this name is not taken; None if it is."""
        if name.startswith("."):
            return PassedOver.HIDDEN
        if name.lower().endswith(_PARTIAL_ENDINGS):
            return PassedOver.PARTIAL
        if self.exclude.match(name) or self.exclude.match(relative):
            return PassedOver.EXCLUDED
        is_included = self.include.match(name) or self.include.match(relative)
        return None if is_included else PassedOver.NOT_VIDEO

    def folder_reason(self, name: str, relative: str) -> PassedOver | None:
        """Why a folder of this name is not entered; None if it is."""
        if name.startswith("."):
            return PassedOver.HIDDEN
        if self.exclude.match(name) or self.exclude.match(relative):
            return PassedOver.EXCLUDED
        return None

    def reaches(self, start: str, below: str) -> bool:
        """Whether a walk at `start` enters every folder of the path `below`."""
        for name in filter(None, below.split("/")):
            start = f"{start}/{name}" if start else name
            if self.folder_reason(name, start) is not None:
                return False
        return True
