"""Defines the orders and reports that main process and worker processes exchange (both).

An order is sent to the worker as a pickle. A report comes back as one line of JSON: the worker has
decoded untrusted bytes, so its report must be data, never code.
"""

from dataclasses import dataclass, replace
from typing import Literal

from captionfleet.errors import FailureCode
from captionfleet.messages import Clip, Form, MediaFacts, MediaSpec, Source

__all__ = [
    "NO_PROGRAM",
    "AnyOrder",
    "CanaryOrder",
    "Confine",
    "Header",
    "HeaderOrder",
    "Held",
    "Order",
    "Prepared",
    "Refused",
    "Report",
    "Sheet",
    "SheetOrder",
    "StoreTrouble",
    "files_of",
    "hold_of",
    "source_in",
    "without_keys",
]


NO_PROGRAM = 71
"""The exit code of a worker that cannot import what it needs (EX_OSERR of sysexits.h)."""


Confine = Literal["auto", "none"]
"""Whether worker processes are confined as far as the kernel can, or not at all."""

Held = Literal["landlock+seccomp", "landlock", "seccomp", "none"]
"""Which confinement a worker process is under."""


@dataclass(frozen=True, slots=True)
class Order:
    """Everything that a worker needs to prepare one clip.

    `hold` is the path of the media, without endings, in the worker's own folder, the only one that
    it may write to. `memory_bytes` is its address space, `cpu_s` its CPU time for this clip.
    `others` are further forms to make of the same pictures, beside that of `spec`.
    """

    clip: Clip
    spec: MediaSpec
    hold: str
    cpu_s: int
    memory_bytes: int
    others: tuple[Form, ...] = ()


def hold_of(hold: str, place: int) -> str:
    """The path, without ending, of a clip's media in the form at this place, from 0."""
    return f"{hold}-{place}" if place else hold


@dataclass(frozen=True, slots=True)
class SheetOrder:
    """Prepared media to be rendered for a person; `with_sound` asks for the sound file, too."""

    video: str
    video_sha256: str
    audio: str | None
    audio_sha256: str | None
    with_sound: bool
    cpu_s: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class HeaderOrder:
    """A source whose header is read, and more as `reading` says.

    "end" also finds where its pictures end, by its last packets; "whole" does so by all packets,
    and finds resets of its clock; "scenes" also decodes it to find scene changes.
    """

    source: Source
    max_pixels: int
    cpu_s: int
    memory_bytes: int
    reading: Literal["header", "end", "whole", "scenes"] = "header"


@dataclass(frozen=True, slots=True)
class CanaryOrder:
    """A test clip to generate, which shows how a server perceives it.

    `shown` lists digits, each with the first frame that shows it and the first that no longer does;
    `hold` is the path of the media, without endings.
    """

    shown: tuple[tuple[str, int, int], ...]
    frames: int
    sound: Literal["none", "speech", "silence"]
    spec: MediaSpec
    hold: str
    cpu_s: int
    memory_bytes: int


AnyOrder = Order | SheetOrder | HeaderOrder | CanaryOrder


def files_of(order: AnyOrder) -> list[str]:
    """The files that an order needs; the main process opens them for the worker."""
    match order:
        case Order():
            return [order.clip.source.path]
        case HeaderOrder():
            return [order.source.path]
        case SheetOrder():
            return [order.video, *([order.audio] if order.audio is not None else [])]
        case CanaryOrder():
            return []


def source_in(order: AnyOrder) -> Source | None:
    """The source file of an order; None for orders about prepared media or generated clips."""
    match order:
        case Order():
            return order.clip.source
        case HeaderOrder():
            return order.source
        case _:
            return None


def without_keys(order: AnyOrder) -> AnyOrder:
    """The order as the worker gets it: without what signs requests for an object."""
    match order:
        case Order():
            own = replace(order.clip.source, opens="")
            return replace(order, clip=replace(order.clip, source=own))
        case HeaderOrder():
            return replace(order, source=replace(order.source, opens=""))
        case _:
            return order


@dataclass(frozen=True, slots=True)
class Prepared:
    """A report of success: the media are at the order's `hold`.

    `decode_s` is the time of one pass over the file, sound included; `encode_s` that of encoding
    H.264 or JPEGs; None where nothing was decoded. Only a CanaryOrder's facts have hashes. `others`
    are the further forms, in the order's order.
    """

    facts: MediaFacts
    decode_s: float | None = None
    encode_s: float | None = None
    others: "tuple[Prepared, ...]" = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A clip that cannot be captioned, and why."""

    code: FailureCode
    detail: str


@dataclass(frozen=True, slots=True)
class StoreTrouble:
    """A report that the worker cannot write to its own folder, through no fault of the clip."""

    errno: int


@dataclass(frozen=True, slots=True)
class Sheet:
    """The frames of a clip on one picture, and its sound; `peaks` in percent of full scale."""

    webp_base64: str
    columns: int
    rows: int
    width_px: int
    height_px: int
    ogg_base64: str
    peaks: list[int]


@dataclass(frozen=True, slots=True)
class Header:
    """The facts in a file's header; `seconds` is 0.0 if it states no length.

    `may_jump` says that its format allows clock resets; `is_joined` that the clock was reset, which
        is known only after reading the whole file.
    """

    codec: str
    width: int
    height: int
    seconds: float
    has_audio: bool = False
    may_jump: bool = False
    is_joined: bool = False
    scene_changes_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """The result of an order, and the state of the process that worked on it.

    `prepare_s` is wall-clock time, `cpu_s` CPU time.
    """

    result: Prepared | Refused | Sheet | Header | StoreTrouble
    prepare_s: float
    clips_done: int
    rss_bytes: int
    confinement: Held = "none"
    cpu_s: float = 0.0
