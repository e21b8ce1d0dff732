"""Main loop of a worker process: takes orders one by one, and reports on each (worker).

It starts light: nothing at the top of this module imports av.
"""

import importlib
import os
import pickle
import struct
import sys
import time
from _socket import CMSG_SPACE, socket  # the core of `socket`, imported in a tenth of the time
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import orjson

from captionfleet.errors import FailureCode, MediaError, StoreError
from captionfleet.media.confinement import confine
from captionfleet.media.orders import (
    NO_PROGRAM,
    AnyOrder,
    CanaryOrder,
    Header,
    HeaderOrder,
    Held,
    Order,
    Prepared,
    Refused,
    Report,
    Sheet,
    SheetOrder,
    StoreTrouble,
)
from captionfleet.media.source_file import Handed, handed_over

__all__ = ["serve", "work_on"]


_MODULES = {
    Order: "captionfleet.media.prepare",
    SheetOrder: "captionfleet.media.contact_sheet",
    HeaderOrder: "captionfleet.media.header",
    CanaryOrder: "captionfleet.media.canary",
}


def serve(parent: int, handover: int, *, may_confine: bool) -> None:
    """Take orders from standard input until it ends, and report on standard output.

    Descriptors of the files that an order names arrive over the Unix socket `handover`.
    """
    confine.ignore_signals()
    confine.die_with(parent)
    confine.die_first()
    orders, reports = _claim_pipes()
    files_in = socket(fileno=handover)
    clips_done, held = 0, None
    while (order := _next(orders)) is not None:
        files = _files(orders, files_in)
        confine.limit_cpu(order.cpu_s)
        held = held or _settle_in(order, may_confine=may_confine)
        clips_done += 1
        started_s, started_cpu_s = time.perf_counter(), time.process_time()
        with handed_over(files):
            result = work_on(order)
        spent_s = time.perf_counter() - started_s
        cpu_s = time.process_time() - started_cpu_s
        report = Report(result, spent_s, clips_done, confine.rss_bytes(), held, cpu_s)
        reports.write(orjson.dumps(report, option=orjson.OPT_APPEND_NEWLINE))
        reports.flush()


def _settle_in(order: AnyOrder, *, may_confine: bool) -> Held:
    """Import the modules for this kind of order, and give up all other rights."""
    try:
        importlib.import_module(_MODULES[type(order)])
    except ImportError:  # no clip can be the cause
        sys.exit(NO_PROGRAM)
    confine.bound(order.memory_bytes)
    if not may_confine:
        return "none"
    return confine.confine(_folders_written(order))


def _folders_written(order: AnyOrder) -> tuple[str, ...]:
    match order:
        case Order() | CanaryOrder():
            return (os.path.dirname(order.hold),)  # noqa: PTH120 - as it came
        case _:
            return ()


def _claim_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Duplicate the pipes, so that a library that prints cannot write into them."""
    orders, reports = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.close(nowhere)
    return orders, reports


def _next(orders: BinaryIO) -> AnyOrder | None:
    try:
        order = pickle.load(orders)  # noqa: S301 - the main process wrote it
    except EOFError:
        return None
    assert isinstance(order, AnyOrder)  # noqa: S101 - nothing else is sent
    return order


def _files(orders: BinaryIO, files_in: socket) -> Handed:
    """The files of the order just read: by path, an error or minus the number of descriptors.

    The descriptors come in the same order.
    """
    said: dict[str, int] = pickle.load(orders)  # noqa: S301 - as above
    files: dict[str, list[int] | int] = dict(said)
    opened = {path: -number for path, number in said.items() if number < 0}
    if opened:
        descriptors = iter(_descriptors(files_in, sum(opened.values())))
        for path, count in opened.items():
            files[path] = list(islice(descriptors, count))
    return files


def _descriptors(files_in: socket, count: int) -> list[int]:
    size = struct.calcsize("i")
    _, ancillary, _, _ = files_in.recvmsg(1, CMSG_SPACE(count * size))
    return [one for _, _, data in ancillary for (one,) in struct.iter_unpack("i", data)]


def work_on(order: AnyOrder) -> Prepared | Refused | Sheet | Header | StoreTrouble:
    """Carry out one order; any error that a file causes is a failure of that file alone."""
    try:
        return _done(order)
    except StoreError as error:
        return StoreTrouble(error.errno)
    except MediaError as error:
        return Refused(error.code, error.detail)
    except MemoryError:
        detail = f"needs more than the {order.memory_bytes} bytes that a worker may have"
        return Refused(FailureCode.OUT_OF_MEMORY, detail)
    except ImportError:  # no clip can be the cause
        sys.exit(NO_PROGRAM)
    except Exception as error:  # noqa: BLE001 - unexpected, but the run goes on
        return Refused(FailureCode.UNEXPECTED, f"{type(error).__name__} at {_origin(error)}")


def _done(order: AnyOrder) -> Prepared | Sheet | Header:
    match order:
        case Order():
            return _prepare(order)
        case SheetOrder():
            return _show(order)
        case HeaderOrder():
            return _look(order)
        case CanaryOrder():
            return _draw(order)


def _origin(error: Exception) -> str:
    """The place where an error was raised; its text is not reported, as it may quote the file."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    if trace is None:
        return "?"
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"


def _prepare(order: Order) -> Prepared:
    import av  # noqa: PLC0415 - after the limits are set

    from captionfleet.media.prepare import prepare_clip  # noqa: PLC0415 - imports av

    av.logging.set_level(None)  # a callback into Python from libav can deadlock
    return prepare_clip(order.clip, order.spec, Path(order.hold), order.others)


def _show(order: SheetOrder) -> Sheet:
    import av  # noqa: PLC0415 - after the limits are set

    from captionfleet.media.contact_sheet import make_sheet  # noqa: PLC0415 - imports av

    av.logging.set_level(None)  # as above
    return make_sheet(order)


def _look(order: HeaderOrder) -> Header:
    import av  # noqa: PLC0415 - after the limits are set

    from captionfleet.media.header import read_header  # noqa: PLC0415 - imports av

    av.logging.set_level(None)  # as above
    return read_header(order)


def _draw(order: CanaryOrder) -> Prepared:
    import av  # noqa: PLC0415 - after the limits are set

    from captionfleet.media.canary import make_canary  # noqa: PLC0415 - imports av

    av.logging.set_level(None)  # as above
    return Prepared(make_canary(order))
