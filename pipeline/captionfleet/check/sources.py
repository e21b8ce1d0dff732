"""Counts the files of the sources, and reads the headers of a sample (main process)."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice

import anyio.to_thread

from captionfleet import text
from captionfleet.check.finding import Finding, fail, ok, warn
from captionfleet.check.library import ClipShape, Library
from captionfleet.config import JobConfig
from captionfleet.errors import ConfigError, FailureCode
from captionfleet.ledger.settled import Settled
from captionfleet.media.facts.geometry import output_size_px
from captionfleet.media.orders import Header
from captionfleet.messages import Clip, Film, Source, printable
from captionfleet.producer import Films, check_apart, check_sources
from captionfleet.producer.asking import Asking
from captionfleet.producer.counting import left_to_ask
from captionfleet.producer.identity.clips import plan
from captionfleet.producer.identity.recognition import Recognition
from captionfleet.producer.produce import require_videos
from captionfleet.producer.sample import Drawing
from captionfleet.producer.walking.found import Unusable, source_of
from captionfleet.producer.walking.job_walk import walk_of
from captionfleet.producer.walking.walk import Walk
from captionfleet.producer.windows import Window, asked_window, seconds_in
from captionfleet.workers.headers import read_headers

__all__ = ["ClipShape", "Library", "example_of", "look_into", "source_findings", "survey"]

_MOST_EXAMPLES = 1000
_CODES_SHOWN = 4
_HOUR_S = 3600.0


async def survey(job: JobConfig, settled: Settled, *, most: int) -> Library:
    """Walk the sources, and read the headers of up to `most` random files.

    Raises:
        ConfigError: a source is missing, a list cannot be read, or the job would write to a source.
    """
    await anyio.to_thread.run_sync(check_sources, job.input)
    await anyio.to_thread.run_sync(check_apart, job)
    films = await Films.of(job, is_guess=True)
    library = await anyio.to_thread.run_sync(
        _walked, job, settled, films, most, abandon_on_cancel=True
    )
    await look_into(library, job, settled, films)
    return library


async def look_into(library: Library, job: JobConfig, settled: Settled, films: Films) -> None:
    """Read the headers of the sample, and record the shapes of the clips to do."""
    headers = await read_headers(library.sample, job.workers, max_pixels=job.media.max_pixels)
    left = _Left(job, settled)
    for source, header in headers:
        if isinstance(header, FailureCode):
            library.failing.setdefault(header, []).append(source)
        else:
            clips = films.clips_in(source, Film(header.seconds))
            shapes = [_shape(header, one, job) for clip in clips if (one := left.of(clip)).requests]
            library.shapes += shapes
            is_part = asked_window(source.row, job.media.max_seconds) is not None
            film_s = 0.0 if is_part else header.seconds
            library.source_s += film_s or sum(shape.seconds for shape in shapes)
    library.is_guess = films.has_guessed


def example_of(job: JobConfig) -> Source | None:
    """The first film to which every request of the job fits; None if none is found soon.

    Blocks. `survey` reports errors of the sources.
    """
    try:
        check_sources(job.input)
        asking, names = Asking(job), tuple(one.name for one in job.asked)
        for found in islice(Walk(job.input, max_seconds=job.media.max_seconds), _MOST_EXAMPLES):
            if isinstance(found, Source):
                clip = replace(plan(found, job.media)[0], requests=names)
                if not asking.problems(clip):
                    return found
    except ConfigError:
        pass
    return None


def _walked(job: JobConfig, settled: Settled, films: Films, most: int) -> Library:
    library = Library(Drawing(most), limit=job.input.limit)
    recognition, left, walk = Recognition(job, settled), _Left(job, settled), walk_of(job)
    for found in walk:
        library.files += 1
        if isinstance(found, Unusable):
            library.unusable[found.code] += 1
            library.spend(left.count(plan(source_of(found), job.media)))
            continue
        library.size_bytes += found.size_bytes
        clips = films.clips(found)  # None: only the header says how many windows it has
        recognition.see_clips(clips or plan(found, job.media))
        if clips and not any(left.of(clip, library.unaskable).requests for clip in clips):
            library.settled += not left.count(clips)
            library.spend(left.count(clips))
            continue
        library.show(found, left.count(clips) if clips else 1)
    require_videos(job, walk.passed_over, is_empty=not library.files)
    return library


class _Left:
    """What is left to ask of clips.

    Raises:
        ConfigError: a prompt names columns of a list, and no source is a list.
    """

    def __init__(self, job: JobConfig, settled: Settled) -> None:
        self._names = tuple(one.name for one in job.asked)
        self._retried = job.input.retry_failed
        self._settled = settled
        self._asking = Asking(job)

    def of(self, clip: Clip, unaskable: Counter[str] | None = None) -> Clip:
        """The clip with the requests that a run would send; `unaskable` counts the others."""
        open_ = replace(clip, requests=self._unsettled(clip))
        if open_.requests:
            self._asking.require_askable(clip.source)
        problems = self._asking.problems(open_)
        if unaskable is not None:
            unaskable.update(problems.values())
        return replace(open_, requests=tuple(n for n in open_.requests if n not in problems))

    def count(self, clips: Iterable[Clip]) -> int:
        """How many of them have a request without a caption that has not failed permanently."""
        return sum(bool(self._unsettled(clip)) for clip in clips)

    def _unsettled(self, clip: Clip) -> tuple[str, ...]:
        return left_to_ask(clip, self._names, self._settled, self._retried)


def _shape(header: Header, clip: Clip, job: JobConfig) -> ClipShape:
    """The clip as workers will make it, except for what a header lacks: turns, odd pixels.

    A file of unknown length counts as long enough.
    """
    media = job.media
    seconds = seconds_in(Window(clip.start_s, clip.end_s), clip.film.seconds or header.seconds)
    frames = max(2, round(seconds * media.fps))
    size = max(header.width, 1), max(header.height, 1)
    width, height = output_size_px(*size, Fraction(1), 0, media.height)
    audio_s = seconds if header.has_audio else 0.0
    return ClipShape(seconds, frames + frames % 2, width, height, audio_s, clip.requests)


def source_findings(library: Library) -> Iterator[Finding]:
    """Findings on the sources."""
    if not library.files:
        yield warn("sources", "no video in them", "see [input] include and exclude")
        return
    before = f"{library.settled:,} settled before, " if library.settled else ""
    size = text.size(library.size_bytes)
    words = f"{library.files:,} files, {size}, {before}{library.to_do:,} to caption"
    yield ok("sources", words + _windows(library) + _limit(library) + _hours(library))
    if library.unusable:
        yield warn(
            "sources", f"not readable: {_counts(library.unusable)}", "failures lines will say why"
        )
    if library.unaskable:
        reasons = library.unaskable.most_common(_CODES_SHOWN)
        words = ", ".join(f"{why} (rows: {number:,})" for why, number in reasons)
        yield warn("prompt", words, "failures lines (bad_row) will name the rows")
    if library.failing:
        yield _failing(library)
    elif library.sample:
        yield ok("formats", f"the headers of {len(library.sample):,} files are intact")


def _windows(library: Library) -> str:
    if not library.shapes or library.clips <= library.to_do:
        return ""
    at_least = " or more, as many as there are scenes" if library.is_guess else ""
    return f" in {'about ' if library.is_sampled else ''}{library.clips:,} windows{at_least}"


def _limit(library: Library) -> str:
    if not library.is_limited:
        return ""
    waiting = library.waiting + library.drawing.seen - library.to_do
    rest = f"; {waiting:,} files wait for later runs" if waiting else ""
    return f" (limit = {library.limit:,}{rest})"


def _hours(library: Library) -> str:
    if not library.shapes:
        return ""
    sent_s = sum(shape.seconds for shape in library.shapes)
    whole = _length(library.source_s * library.to_do / len(library.sample))
    used = _length(sent_s * library.clips / len(library.shapes))
    about = "about " if library.is_sampled or library.share < 1 else ""
    return f": {about}{whole} of video, of which {used} are sent"


def _length(seconds: float) -> str:
    """Hours for libraries, or a fitting unit for a few clips."""
    return f"{seconds / _HOUR_S:,.1f} h" if seconds >= _HOUR_S else text.rough(seconds)


def _failing(library: Library) -> Finding:
    probed, failing = len(library.sample), sum(map(len, library.failing.values()))
    counts = Counter({code: len(sources) for code, sources in library.failing.items()})
    example = printable(next(iter(library.failing.values()))[0].name)
    about = f", about {failing * library.to_do / probed:,.0f} of all" if library.is_sampled else ""
    text = f"{failing:,} of {probed:,} probed will fail{about}: {_counts(counts)}"
    advice = f"such as {example}; they become failures lines, the others are captioned"
    return (fail if failing == probed else warn)("formats", text, advice)


def _counts(counts: Counter[FailureCode]) -> str:
    return ", ".join(f"{count:,} {code}" for code, count in counts.most_common(_CODES_SHOWN))
