"""Exports that SIGKILL ends in the middle, and that are run again."""

import os
import random
import signal
import sys
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from captionfleet.config import CaptionConfig, ExportConfig
from captionfleet.export.export import export_lines
from tests.support.library import film, line, with_media, write_lines

_CLIPS, _GONE, _CHANGED, _REPLACED = 120, 10, 10, 10
_KILLS = 3
_WITHIN_S = 120.0
# What writes to a file or to the register: a kill changes something only between two of these.
_STEPS = frozenset({"link", "replace", "fsync", "unlink", "mkdir", "write", "execute"})
_processes = get_context("forkserver")
_processes.set_forkserver_preload([__name__, "captionfleet.export.export"])

Files = dict[Path, bytes]
_Export = tuple[Path, ExportConfig, CaptionConfig]


class KilledExports:
    """A library whose captions are exported in peace and with kills."""

    def __init__(self, root: Path, to: str) -> None:
        self._root = root
        self._to = to
        self._films = [film(root / "videos", f"{number:03}.mp4") for number in range(_CLIPS)]

    def check(self) -> Files:
        """What an export makes in peace; every one that was killed made the same in the end.

        Each is killed once in its first export, and once in a later one, which has captions to
        add, to replace and to take out.
        """
        first = self._lines("Of")
        made, steps = self._in_peace(first[:-_GONE])
        moments = _moments(steps)
        for number, moment in enumerate(moments):
            assert self._killed(number, first[:-_GONE], moment) == made, f"killed at {moment}"
        for one in self._films[:_GONE]:
            Path(one.path).unlink()
        for one in self._films[_GONE : _GONE + _CHANGED]:
            Path(one.path).write_bytes(b"another film")
        later = [*first, *self._lines("Again of")[-2 * _REPLACED :: 2]]
        made_later, steps = self._in_peace(later)
        assert made_later != made
        for number, moment in enumerate(_moments(steps)):
            assert self._killed(number, later, moment) == made_later, f"later killed at {moment}"
        return made_later

    def _lines(self, words: str) -> list[bytes]:
        media = [with_media(self._root / "store", number) for number in range(_CLIPS)]
        texts = [f"{words} {number}.\n0:02 It rains." for number in range(_CLIPS)]
        return [line(*one, **keys) for *one, keys in zip(self._films, texts, media, strict=True)]

    def _in_peace(self, lines: Sequence[bytes]) -> tuple[Files, int]:
        export = self._export("peace", lines)
        steps = _counted(export)
        return self._files("peace"), steps

    def _killed(self, number: int, lines: Sequence[bytes], moment: int) -> Files:
        export = self._export(f"killed-{number}", lines)
        process = _processes.Process(target=_counted, args=(export, moment))
        process.start()
        process.join(_WITHIN_S)
        assert process.exitcode == -signal.SIGKILL, process.exitcode
        export_lines(*export)
        return self._files(f"killed-{number}")

    def _export(self, name: str, lines: Sequence[bytes]) -> _Export:
        folder = write_lines(self._root / name, lines)
        out = self._root / f"{name}-made"
        is_folder = self._to in {"txt", "srt", "vtt", "webdataset", "hf"}
        keys = {"out": out if is_folder else out / "table", "media": self._root / "store"}
        export = ExportConfig.model_validate({"to": self._to, "shard_clips": 30, **keys})
        return folder, export, CaptionConfig()

    def _files(self, name: str) -> Files:
        out = self._root / f"{name}-made"
        return {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def _moments(steps: int) -> list[int]:
    """Moments from the first step to the last, none too near to another."""
    dice = random.Random(steps)  # noqa: S311 - repeatable
    share = steps / _KILLS
    return sorted({int(share * (kill + dice.random())) for kill in range(_KILLS)})


def _counted(export: _Export, killed_at: int = -1) -> int:
    """Export; returns how many steps that took, unless it is killed at one of them."""
    steps = 0

    def count(_frame: object, event: str, called: Any) -> None:
        nonlocal steps
        if event == "c_call" and called.__name__ in _STEPS:
            if steps == killed_at:
                os.kill(os.getpid(), signal.SIGKILL)
            steps += 1

    sys.setprofile(count)
    try:
        export_lines(*export)
    finally:
        sys.setprofile(None)
    return steps
