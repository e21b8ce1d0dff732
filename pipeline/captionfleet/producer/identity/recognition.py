"""Finds captions that are filed under a former id of the same file (main process, in a thread).

Version 0.1.0 made ids from names relative to the source, so a file could have several ids, and two
files could share one. Files of a library that moved have ids of their former paths.
"""

import os
from collections.abc import Iterable, Iterator
from functools import cached_property

from captionfleet.config import JobConfig
from captionfleet.ledger.settled import Settled
from captionfleet.messages import Adopted, Clip, Source
from captionfleet.producer.identity.clips import clip_id, named_clip_id, plan
from captionfleet.producer.identity.moves import Moves
from captionfleet.producer.sources import past_roots
from captionfleet.telemetry import Tally, get_log

__all__ = ["Recognition"]


class Recognition:
    """Assigns captions under former ids to their files; each id is adopted once.

    `adopted` counts clips.
    """

    def __init__(self, job: JobConfig, settled: Settled) -> None:
        self.adopted = 0
        self._media = job.media
        self._settled = settled
        self._relocate = job.input.relocate

    def see(self, sources: Iterable[Source]) -> list[Adopted]:
        """Adopt the captions of these files' first windows. Blocks."""
        return self.see_clips(clip for one in sources for clip in plan(one, self._media))

    def see_clips(self, clips: Iterable[Clip]) -> list[Adopted]:
        """Adopt the captions of these clips. Blocks."""
        if not self._settled.holds_any:
            return []
        return [adopted for clip in clips for adopted in self._adopt(clip)]

    def warn(self, tally: Tally) -> None:
        """Log the result, at the end of a run."""
        if self.adopted:
            get_log().info("captions found again under other ids", clips=self.adopted)
        elif self._relocate and tally.planned and not tally.already_captioned:
            get_log().warning(
                "relocate: no file has a caption under its former path: is OLD the path in "
                "captions.jsonl, without links?"
            )

    def _adopt(self, clip: Clip) -> Iterator[Adopted]:
        if self._settled.knows(clip.clip_id):
            return
        # Another ETag with the same time of change: the line keeps both ids, so nothing is refiled.
        if clip.stat_id and self._settled.is_adoptable(clip.stat_id):
            self._settled.adopt(clip.stat_id, clip.clip_id)
            return
        is_first = True
        for former in self._former_ids(clip):
            if self._settled.adopt(former, clip.clip_id):
                self.adopted += is_first
                is_first = False
                yield Adopted(clip, former)

    def _former_ids(self, clip: Clip) -> Iterator[str]:
        """The former ids of this file that have a caption or a failure."""
        source, window = clip.source, (clip.start_s, clip.end_s)
        version = source.size_bytes, source.mtime_ns
        for path in self._moves.former_paths(source.known_path):
            identity = clip_id(os.fsencode(path), *version, *window, source.row.prompt)
            if self._settled.is_adoptable(identity):
                yield identity
        for name in () if source.row.prompt else _names(source):
            identity = named_clip_id(os.fsencode(name), *version, *window)
            if self._settled.is_adoptable(identity) and self._is_own(source, name):
                yield identity

    def _is_own(self, source: Source, name: str) -> bool:
        """Whether this was the only file of this name in the runs that made the captions."""
        own = {source.known_path, *self._moves.former_paths(source.known_path)}
        version = source.size_bytes, source.mtime_ns
        for root in self._roots:
            path = os.path.join(root, name)  # noqa: PTH118 - the name may be no text
            try:
                facts = os.stat(path)  # noqa: PTH116 - as above
            except (OSError, ValueError):
                continue
            if (facts.st_size, facts.st_mtime_ns) == version:
                return not own.isdisjoint({path, os.path.realpath(path)})
        return True  # the library has moved since

    @cached_property
    def _moves(self) -> Moves:
        return Moves(self._relocate)

    @cached_property
    def _roots(self) -> list[str]:
        """The folders that names of earlier runs are relative to, in the order of the runs."""
        folder = self._settled.folder
        return past_roots(folder) if folder is not None else []


def _names(source: Source) -> Iterator[str]:
    """Every name that the file may have had: the present one, and each suffix of its paths."""
    names = {source.name: None}
    for path in (source.path, source.known_path):
        rest = path
        while rest:
            names[rest] = None
            rest = rest[1:] if rest.startswith("/") else rest.partition("/")[2]
    return iter(names)
