"""What a worker process runs for one clip; light until the first clip is there (worker process)."""

import os
import resource
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import FailureCode, MediaError, StoreError
from pipeline.messages import Clip, MediaFacts, MediaSpec

__all__ = ["Order", "Prepared", "Refused", "work_on"]

# Ctrl-C reaches the whole process group; only the main process may act on it.
signal.signal(signal.SIGINT, signal.SIG_IGN)

_clips_done = 0


@dataclass(frozen=True, slots=True)
class Order:
    """Everything that a worker needs to know about one clip."""

    clip: Clip
    spec: MediaSpec
    store: str
    cpu_s: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """Media that lie in the store."""

    video: Path
    audio: Path | None
    facts: MediaFacts
    prepare_s: float
    clips_done: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A clip that cannot be captioned."""

    code: FailureCode
    detail: str
    prepare_s: float
    clips_done: int


def work_on(order: Order) -> Prepared | Refused:
    """Prepare one clip within the process's limits.

    Raises:
        StoreError: the store cannot be written.
    """
    global _clips_done  # noqa: PLW0603 - the age of this process
    started_s = time.perf_counter()
    _clips_done += 1
    _limit(order)
    try:
        video, audio, facts = _prepare(order)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a file provokes costs that file alone
        return Refused(*_explain(error, order), time.perf_counter() - started_s, _clips_done)
    return Prepared(video, audio, facts, time.perf_counter() - started_s, _clips_done)


def _explain(error: Exception, order: Order) -> tuple[FailureCode, str]:
    match error:
        case MediaError(code=code, detail=detail):
            return code, detail
        case MemoryError():
            return FailureCode.OUT_OF_MEMORY, f"needs more than {order.memory_bytes} bytes"
        case _:
            trace = error.__traceback__
            while trace and trace.tb_next:
                trace = trace.tb_next
            where = (
                f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
            )
            return FailureCode.UNEXPECTED, f"{type(error).__name__} at {where}"


def _prepare(order: Order) -> tuple[Path, Path | None, MediaFacts]:
    import av  # noqa: PLC0415 - after the limits are set

    from pipeline.workers.prepare import prepare_clip  # noqa: PLC0415 - imports av
    from pipeline.workers.store import MediaStore  # noqa: PLC0415 - imports av's neighbours

    av.logging.set_level(None)  # a callback into Python from libav can deadlock
    media = prepare_clip(order.clip, order.spec, MediaStore(Path(order.store)))
    return media.video, media.audio, media.facts


def _limit(order: Order) -> None:
    """Give this clip its own allowance of memory and CPU; past the CPU the kernel kills."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_at_most(order.memory_bytes, hard), hard))
    times = os.times()
    allowance_s = int(times.user + times.system) + order.cpu_s
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (_at_most(allowance_s, hard), hard))


def _at_most(wanted: int, hard: int) -> int:
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
