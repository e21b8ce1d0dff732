"""The windows of whole films, each film measured once (main process)."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Self

import anyio

from captionfleet.config import JobConfig
from captionfleet.errors import FailureCode
from captionfleet.ledger.films import KnownFilms, load_films
from captionfleet.messages import UNKNOWN_FILM, Clip, Film, Measured, Source
from captionfleet.producer.identity.clips import film_id, plan
from captionfleet.producer.windows import Window, asked_window, windows_of

__all__ = ["Cut", "Films", "Measure"]

Measure = Callable[[Source], Awaitable[Film | FailureCode]]
"""Opens a film and says what it is like, or why that cannot be found out."""


class Cut(NamedTuple):
    """All windows of a film, and the film as it was measured."""

    windows: tuple[Window, ...]
    film: Film


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
        also of what cannot be measured, where the workers say why.
        """
        if not self._is_asked_for(source):
            return None
        name = film_id(source)
        async with self._turn:
            film = self._known.get(name)
            if film is None and self._measure is not None:
                film = await self._measured(self._measure, name, source)
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
        cut = self._cut(self._known.get(film_id(source)) or guess)
        return plan(source, self._media, None, *(cut or ()))

    def _is_asked_for(self, source: Source) -> bool:
        return self._is_whole and asked_window(source.row, self._window_s) is None

    async def _measured(self, measure: Measure, name: str, source: Source) -> Film:
        found = await measure(source)
        film = UNKNOWN_FILM if isinstance(found, FailureCode) else found
        self._known.add(name, film)
        is_final = not isinstance(found, FailureCode) or found.permanent
        if is_final and self._note is not None:
            await self._note(Measured(name, source, film))
        return film

    def _cut(self, film: Film | None) -> Cut | None:
        if film is None or film.seconds <= 0:
            return None
        return Cut(windows_of(film.seconds, self._window_s, self._overlap_s), film)
