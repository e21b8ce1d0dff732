"""Defines the messages between a run and the nodes of its cluster (main process, and nodes)."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from captionfleet.media.orders import Confine, Order, Report, hold_of
from captionfleet.messages import Form

__all__ = ["Done", "Failed", "Misreported", "Parcel", "Reply", "SentFile", "TooSlow", "Unable",
    "Unseen", "possible_files"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parcel:
    """An order with what a node needs to know of its workers.

    `checks_source`: the node first checks that it sees the clip's file as the run found it.
    """

    order: Order
    confine: Confine
    clip_timeout_s: float
    recycle_clips: int
    recycle_bytes: int
    checks_source: bool = True


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file that follows the reply; `name` is the last part of the order's hold."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Done:
    """The worker process reported; the files are listed in the order of their bytes."""

    report: Report
    files: tuple[SentFile, ...]
    busy_s: float


@dataclass(frozen=True, slots=True)
class TooSlow:
    """The worker process was killed at the clip's deadline."""

    busy_s: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker process died of the clip, with this exit code as in `subprocess`."""

    returncode: int | None
    busy_s: float


@dataclass(frozen=True, slots=True)
class Misreported:
    """The worker process did not leave what it reports; the words complete "it …"."""

    words: str
    busy_s: float


@dataclass(frozen=True, slots=True)
class Unseen:
    """The node does not see the clip's file as the run found it."""

    words: str


@dataclass(frozen=True, slots=True)
class Unable:
    """The node can start no worker process, or write no media."""

    words: str


Reply = Done | TooSlow | Failed | Misreported | Unseen | Unable


def possible_files(order: Order) -> Iterator[tuple[int, Path]]:
    """The files that a worker may leave for an order, each with the place of its form."""
    forms = (order.spec.form, *order.others)
    return chain.from_iterable(_files(order, place, form) for place, form in enumerate(forms))


def _files(order: Order, place: int, form: Form) -> Iterator[tuple[int, Path]]:
    base = Path(hold_of(order.hold, place))
    yield place, base.with_suffix(form.video_ending)
    if form.audio_as != "none":
        yield place, base.with_suffix(form.audio_ending)
