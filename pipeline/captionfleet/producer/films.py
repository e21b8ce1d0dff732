"""Cuts whole films into windows, and measures each film once (main process)."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import NamedTuple, Self

import anyio
import anyio.to_thread

from captionfleet.config import JobConfig
from captionfleet.errors import FailureCode
from captionfleet.ledger.films import KnownFilms, load_films
from captionfleet.messages import UNKNOWN_FILM, Clip, Film, Measured, Source
from captionfleet.producer.identity.clips import film_id, plan
from captionfleet.producer.identity.moves import Moves
from captionfleet.producer.sources import may_have_rows
from captionfleet.producer.walking.recordings import may_be_joined
from captionfleet.producer.windows import Window, asked_window, scene_windows, window_at, windows_of

__all__ = ["Cut", "Films", "Measure"]

Measure = Callable[[Source], Awaitable[Film | FailureCode]]
"""Measures a film, or says why it cannot be measured."""


class Cut(NamedTuple):
    """All windows of a film, and the film as measured.

    If measuring failed and may succeed later, `problem` says why; then only the first window is
    known, and no scene.
    """

    windows: tuple[Window, ...]
    film: Film
    problem: FailureCode | None = None


class Films:
    """Cuts films into windows or scenes, for jobs that caption whole films.

    The run, or the count ahead of it, opens a film once, when it is first needed. Films that
    earlier runs measured are not opened. Memory: about 150 bytes for each film. `has_guessed` is
    true once a film without known scenes was cut into windows.
    """

    def __init__(  # noqa: PLR0913 - what is known of films, and how to know more
        self,
        job: JobConfig,
        known: KnownFilms,
        measure: Measure | None = None,
        note: Callable[[Measured], Awaitable[None]] | None = None,
        *,
        moves: Moves | None = None,
        is_guess: bool = False,
    ) -> None:
        self._segments = job.input.segments
        self._min_s = job.input.min_s
        self._window_s = float(job.media.max_seconds)
        self._overlap_s = job.input.overlap_s
        self._media = job.media
        self._known = known
        self._failed: dict[str, FailureCode] = {}
        self._measure = measure
        self._note = note
        self._moves = moves or Moves({})
        self._is_guess = is_guess
        self.has_guessed = False
        self._pending: dict[str, anyio.Event] = {}

    @classmethod
    async def of(
        cls,
        job: JobConfig,
        measure: Measure | None = None,
        note: Callable[[Measured], Awaitable[None]] | None = None,
        *,
        is_resuming: bool = True,
        is_guess: bool = False,
    ) -> Self:
        """Create the films of a job; `note` records new measurements, and earlier ones are loaded.

        With `is_guess`, no film is searched for scenes: films without known scenes are cut into
        windows.

        Raises:
            OutputError: earlier measurements cannot be read.
        """
        known = KnownFilms()
        has_windows = job.input.segments != "first" or any(map(may_have_rows, job.input.sources))
        if has_windows and is_resuming:
            known = await load_films(job.output.dir)
            if job.input.retry_failed:
                known.forget_unknown()
        moves = await anyio.to_thread.run_sync(Moves, job.input.relocate)
        return cls(job, known, measure, note, moves=moves, is_guess=is_guess)

    async def cut(self, source: Source) -> Cut | None:
        """All windows of a film, measuring it if needed.

        None means that only the first window, or the row's own window, is captioned, as the job or
        the row asks; also if the file is not a film, and a worker will report why.
        """
        if not self._is_asked_for(source):
            return await self._row_cut(source)
        film = await self._film(source, self._is_wanting)
        if problem := self._failed.get(film_id(source)):
            first = () if self._segments == "scenes" else windows_of(0.0, self._window_s)
            return Cut(first, UNKNOWN_FILM, problem)
        return self._cut(film)

    async def _row_cut(self, source: Source) -> Cut | None:
        """A row's own window, if the film's clock is reset midway; else None.

        A worker cannot seek in such a film by its clock, so it has to know.
        """
        window = asked_window(source.row, self._window_s)
        if window is None or window.start_s <= 0:
            return None
        if not await anyio.to_thread.run_sync(may_be_joined, source):
            return None
        film = await self._film(source, lambda film: film is None)
        return Cut((window,), replace(film, scene_ends_s=())) if film and film.is_joined else None

    async def _film(self, source: Source, is_wanting: Callable[[Film | None], bool]) -> Film | None:
        """The film's measurements, made now if something is missing."""
        name = film_id(source)
        while name in self._pending:
            await self._pending[name].wait()
        film = await self._remembered(name, source)
        if self._measure is not None and name not in self._failed and is_wanting(film):
            self._pending[name] = anyio.Event()
            try:
                film = await self._measured(self._measure, name, source)
            finally:
                self._pending.pop(name).set()
        return film

    @asynccontextmanager
    async def ahead(self, sources: Iterable[Source], lanes: int) -> AsyncIterator[None]:
        """Measure these films in the background, several at once, if that takes long."""
        if self._segments != "scenes" or self._is_guess:
            yield
            return
        left = iter(sources)

        async def measure_all() -> None:
            for source in left:
                await self.cut(source)

        async with anyio.create_task_group() as tasks:
            for _ in range(lanes):
                tasks.start_soon(measure_all)
            yield
            tasks.cancel_scope.cancel()

    def clips(self, source: Source) -> tuple[Clip, ...] | None:
        """The clips of a film, if they are known without opening it; else None."""
        if not self._is_asked_for(source):
            return plan(source, self._media)
        film = self._find(source)
        return None if film is None or self._is_wanting(film) else self.clips_in(source, film)

    def clips_in(self, source: Source, guess: Film) -> tuple[Clip, ...]:
        """The clips of a film, which is assumed to be like `guess` if it was never measured."""
        if not self._is_asked_for(source):
            return plan(source, self._media)
        return self.planned(source, self._cut(self._find(source) or guess))

    def planned(
        self, source: Source, cut: Cut | None, content: bytes | None = None
    ) -> tuple[Clip, ...]:
        """The clips of a film that was cut this way."""
        if cut is None:
            return plan(source, self._media, content)
        return plan(source, self._media, content, cut.windows, cut.film)

    def unknown_windows(self, source: Source) -> Iterator[Clip]:
        """The possible clips of a film of unknown length, beyond the known ones."""
        for number in itertools.count(0 if self._segments == "scenes" else 1):
            window = window_at(number, self._window_s, self._overlap_s)
            yield from plan(source, self._media, None, (window,))

    def _find(self, source: Source) -> Film | None:
        """The film's measurements, also those under its path before the library moved."""
        if film := self._known.get(film_id(source)):
            return film
        former = self._moves.former_paths(source.known_path)
        found = (self._known.get(film_id(replace(source, real_path=path))) for path in former)
        return next(filter(None, found), None)

    async def _remembered(self, name: str, source: Source) -> Film | None:
        film = self._find(source)
        if film is not None and self._known.get(name) is None:
            self._known.add(name, film)
            if self._note is not None:
                await self._note(Measured(name, source, film))
        return film

    def _is_asked_for(self, source: Source) -> bool:
        return self._segments != "first" and asked_window(source.row, self._window_s) is None

    def _is_wanting(self, film: Film | None) -> bool:
        """Whether the job needs a measurement of the film that is missing."""
        if film is None:
            return True
        by_scenes = self._segments == "scenes" and not self._is_guess
        return by_scenes and not film.scene_ends_s and film.seconds >= 2 * self._min_s

    async def _measured(self, measure: Measure, name: str, source: Source) -> Film | None:
        found = await measure(source)
        if isinstance(found, FailureCode) and not found.permanent:
            self._failed[name] = found
            return None
        film = UNKNOWN_FILM if isinstance(found, FailureCode) else found
        self._known.add(name, film)
        if self._note is not None:
            await self._note(Measured(name, source, film))
        return film

    def _cut(self, film: Film | None) -> Cut | None:
        if film is None or film.seconds <= 0:
            return None
        bare = replace(film, scene_ends_s=())  # clips do not need the scenes
        if self._segments == "scenes":
            if film.scene_ends_s or film.seconds < 2 * self._min_s:
                ends_s = film.scene_ends_s or (round(film.seconds, 3),)
                return Cut(scene_windows(ends_s, self._min_s, self._window_s), bare)
            self.has_guessed = True
        return Cut(windows_of(film.seconds, self._window_s, self._overlap_s), bare)
