"""The windows of whole films, each film measured once (main process)."""

import itertools
from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple, Self

import anyio

from captionfleet.config import JobConfig
from captionfleet.errors import FailureCode
from captionfleet.ledger.films import KnownFilms, load_films
from captionfleet.messages import UNKNOWN_FILM, Clip, Film, Measured, Source
from captionfleet.producer.identity.clips import film_id, plan
from captionfleet.producer.windows import Window, asked_window, window_at, windows_of

__all__ = ["Cut", "Films", "Measure"]

Measure = Callable[[Source], Awaitable[Film | FailureCode]]
"""Opens a film and says what it is like, or why that cannot be found out."""


class Cut(NamedTuple):
    """All windows of a film, and the film as it was measured.

    Where that failed and may go well the next time, `problem` says why; the first window is known.
    """

    windows: tuple[Window, ...]
    film: Film
    problem: FailureCode | None = None


class Films:
    """Cuts films into windows, where a job asks for all of them.

    A film is opened once, by whoever asks for it first: the run, or the count on the side of it.
    Those that earlier runs measured are not opened. About 150 bytes for each film.
    """

    def __init__(
        self,
        job: JobConfig,
        known: KnownFilms,
        measure: Measure | None = None,
        note: Callable[[Measured], Awaitable[None]] | None = None,
    ) -> None:
        self._is_whole = job.input.segments == "all"
        self._window_s = float(job.media.max_seconds)
        self._overlap_s = job.input.overlap_s
        self._media = job.media
        self._known = known
        self._failed: dict[str, FailureCode] = {}
        self._measure = measure
        self._note = note
        self._turn = anyio.Lock()  # a worker process takes one film at a time

    @classmethod
    async def of(
        cls,
        job: JobConfig,
        measure: Measure | None = None,
        note: Callable[[Measured], Awaitable[None]] | None = None,
        *,
        is_resuming: bool = True,
    ) -> Self:
        """Those of a job; `note` keeps what is measured, and what runs before noted is read.

        Raises:
            OutputError: what was noted cannot be read.
        """
        known = KnownFilms()
        if job.input.segments == "all" and is_resuming:
            known = await load_films(job.output.dir)
            if job.input.retry_failed:
                known.forget_unknown()
        return cls(job, known, measure, note)

    async def cut(self, source: Source) -> Cut | None:
        """All windows of a film, which is measured if need be.

        None stands for the first window alone, or a row's own, as the job or the row asks for it;
        also of what is no film, where the workers say why.
        """
        if not self._is_asked_for(source):
            return None
        name = film_id(source)
        async with self._turn:
            film = self._known.get(name)
            if film is None and name not in self._failed and self._measure is not None:
                film = await self._measured(self._measure, name, source)
        if problem := self._failed.get(name):
            return Cut(windows_of(0.0, self._window_s), UNKNOWN_FILM, problem)
        return self._cut(film)

    def clips(self, source: Source) -> tuple[Clip, ...] | None:
        """The clips of a film as far as is known without opening it; None if that says nothing."""
        if not self._is_asked_for(source):
            return plan(source, self._media)
        film = self._known.get(film_id(source))
        return None if film is None else self.clips_in(source, film)

    def clips_in(self, source: Source, guess: Film) -> tuple[Clip, ...]:
        """The clips of a film; it is taken to be like the guess where it was not measured."""
        if not self._is_asked_for(source):
            return plan(source, self._media)
        return self.planned(source, self._cut(self._known.get(film_id(source)) or guess))

    def planned(
        self, source: Source, cut: Cut | None, content: bytes | None = None
    ) -> tuple[Clip, ...]:
        """The clips of a film that was cut so."""
        if cut is None:
            return plan(source, self._media, content)
        return plan(source, self._media, content, cut.windows, cut.film)

    def later_windows(self, source: Source) -> Iterator[Clip]:
        """The clips of windows after the first one, of a film without end."""
        for number in itertools.count(1):
            window = window_at(number, self._window_s, self._overlap_s)
            yield from plan(source, self._media, None, (window,))

    def _is_asked_for(self, source: Source) -> bool:
        return self._is_whole and asked_window(source.row, self._window_s) is None

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
        return Cut(windows_of(film.seconds, self._window_s, self._overlap_s), film)
