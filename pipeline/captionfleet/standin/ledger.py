"""Records a stand-in's requests: counters and a bounded list (server's process)."""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import anyio

from captionfleet.standin.faults import Fault
from captionfleet.standin.protocol import Chat

__all__ = ["Entry", "Ledger", "RequestRecord"]

_RECORDS_KEPT = 10_000
_RECORDS_SHOWN = 100


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request.

    Attributes:
        ordinal: the number of the chat request, from 1 in order of arrival.
        status: the status sent; None if none was (a reset, or the client left first).
        fault: label of the fault that hit it.
        in_flight: requests in flight as it arrived, itself included.
        started_s: on the event loop's monotonic clock; so is `ended_s`, None until it ends.
        pictures: the number of images sent one by one; their hash is that of all of them,
            concatenated.
        audio_as: the kind of part that held the sound.
        client_left: whether the client closed the connection before the end of the answer.
    """

    ordinal: int
    in_flight: int
    started_s: float
    ended_s: float | None = None
    status: int | None = None
    model: str | None = None
    video_sha256: str | None = None
    audio_sha256: str | None = None
    pictures: int = 0
    audio_as: str | None = None
    fault: str | None = None
    client_left: bool = False


class Entry:
    """One request in flight; `record` holds what is known of it so far."""

    def __init__(self, record: RequestRecord) -> None:
        self.record = record

    def identify(self, chat: Chat, fault: Fault | None) -> None:
        """Record the request's contents and its fault."""
        self.record = replace(
            self.record,
            model=chat.model,
            video_sha256=chat.video_sha256,
            pictures=len(chat.pictures),
            audio_as=chat.audio_as,
            audio_sha256=chat.audio.sha256 if chat.audio else None,
            fault=fault.label if fault else None,
        )


class Ledger:
    """Counts requests as they arrive and end.

    Attributes:
        total: requests that arrived.
        by_status: requests that ended, by the status sent.
        in_flight: requests that have not ended.
        serving: requests that hold a slot.
        records: the latest requests that ended, in that order.
    """

    def __init__(self) -> None:
        self.total = 0
        self.by_status: Counter[int | None] = Counter()
        self.in_flight = 0
        self.max_in_flight = 0
        self.serving = 0
        self.max_serving = 0
        self.records: deque[RequestRecord] = deque(maxlen=_RECORDS_KEPT)
        self._changed = anyio.Event()

    @contextmanager
    def opened(self) -> Iterator[Entry]:
        """Count a request as in flight; one that the block does not close has failed."""
        self.total += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        started_s = anyio.current_time()
        entry = Entry(RequestRecord(self.total, self.in_flight, started_s))
        self._note_change()
        try:
            yield entry
        except ConnectionError:
            self.close(entry, None, client_left=True)
            raise
        except Exception:
            self.close(entry, 500)
            raise
        finally:
            self.close(entry, None, client_left=True)

    def close(self, entry: Entry, status: int | None, *, client_left: bool = False) -> None:
        """Count the request as ended; call it once, before the last byte of the answer is sent."""
        if entry.record.ended_s is not None:
            return
        entry.record = replace(
            entry.record, status=status, ended_s=anyio.current_time(), client_left=client_left
        )
        self.in_flight -= 1
        self.by_status[status] += 1
        self.records.append(entry.record)
        self._note_change()

    @contextmanager
    def served(self) -> Iterator[None]:
        """Count a request as holding a slot."""
        self.serving += 1
        self.max_serving = max(self.max_serving, self.serving)
        self._note_change()
        try:
            yield
        finally:
            self.serving -= 1
            self._note_change()

    async def until(self, holds: Callable[["Ledger"], bool]) -> None:
        """Wait until the counters satisfy `holds`; the caller sets the deadline."""
        while not holds(self):
            await self._changed.wait()

    def stats(self) -> dict[str, Any]:
        """Return the counters and the latest records as JSON values."""
        latest = list(self.records)[-_RECORDS_SHOWN:]
        return {
            "total": self.total,
            "by_status": {str(status): count for status, count in self.by_status.items()},
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "serving": self.serving,
            "max_serving": self.max_serving,
            "requests": [asdict(record) for record in latest],
        }

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
