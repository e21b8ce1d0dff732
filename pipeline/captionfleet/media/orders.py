"""What the main process and a worker process tell each other (both).

An order goes to the worker as a pickle. A report comes back as one line of JSON: the worker has
decoded bytes that nobody vouches for, so what it says is data and never code.
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
    """Everything that a worker needs to know about one clip.

    `hold` is where the media go, without their endings: a name in the worker's own folder, the
    only one that it may write to. `memory_bytes` is what the process may address, and `cpu_s` what
    it may compute for this clip. `others` are further forms to make of the same pictures, beside
    that of `spec`.
    """

    clip: Clip
    spec: MediaSpec
    hold: str
    cpu_s: int
    memory_bytes: int
    others: tuple[Form, ...] = ()


def hold_of(hold: str, place: int) -> str:
    """The name, without ending, of a clip's media in the form at this place, from 0 on."""
    return f"{hold}-{place}" if place else hold


@dataclass(frozen=True, slots=True)
class SheetOrder:
    """Prepared media to be shown to a person; `with_sound` asks for the Ogg itself, too."""

    video: str
    video_sha256: str
    audio: str | None
    audio_sha256: str | None
    with_sound: bool
    cpu_s: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class HeaderOrder:
    """A source of which the header is to be read, as far as `reading` says.

    "end": and where its pictures end, by its last packets; "whole": the same by all packets, with
    the jumps of its clock; "scenes": and where its scenes change, for which it is decoded.
    """

    source: Source
    max_pixels: int
    cpu_s: int
    memory_bytes: int
    reading: Literal["header", "end", "whole", "scenes"] = "header"


@dataclass(frozen=True, slots=True)
class CanaryOrder:
    """A clip to be made of nothing, to see what a server makes of it.

    `shown` are digits with the first frame that shows them and the first that does not any more;
    `hold` is where the media go, without their endings.
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
    """The files that a worker needs for an order; the main process opens them for it."""
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
    """The film that an order is about; None if it is about prepared media, or none."""
    match order:
        case Order():
            return order.clip.source
        case HeaderOrder():
            return order.source
        case _:
            return None


def without_keys(order: AnyOrder) -> AnyOrder:
    """The order as a worker gets it: without what signs the requests for an object."""
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
    """Media lie at the order's `hold`.

    `decode_s` is one pass over the file, its sound included, `encode_s` the H.264 or the JPEGs;
    None where nothing was decoded. Hashes are in the facts of a CanaryOrder alone. `others` are the
    further forms, in the order's order.
    """

    facts: MediaFacts
    decode_s: float | None = None
    encode_s: float | None = None
    others: "tuple[Prepared, ...]" = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A clip that cannot be captioned."""

    code: FailureCode
    detail: str


@dataclass(frozen=True, slots=True)
class StoreTrouble:
    """The worker cannot write to its own folder; the clip is not to blame."""

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
    """What a file says of itself; `seconds` is 0.0 where it says nothing of its length.

    `may_jump` says that its format lets the clock be set anew midway, `is_joined` that it is: known
    where the whole of it was read.
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
    """What became of an order, and the state of the process that worked on it.

    `prepare_s` is wall clock, `cpu_s` the time of CPU in it.
    """

    result: Prepared | Refused | Sheet | Header | StoreTrouble
    prepare_s: float
    clips_done: int
    rss_bytes: int
    confinement: Held = "none"
    cpu_s: float = 0.0
