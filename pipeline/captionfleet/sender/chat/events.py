"""Parses server-sent events from a byte stream; pure (main process)."""

import re
from collections.abc import Iterator

__all__ = ["EventLines", "is_event_stream"]

_BOM = b"\xef\xbb\xbf"
_FIRST_FIELD = re.compile(rb"(data|event|id|retry)?:")
_TELLING_BYTES = 6  # the longest of these field names, with its colon
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")  # a last \r may be half of \r\n


class EventLines:
    """Splits a byte stream in portions of any size into server-sent events (WHATWG HTML 9.2)."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._event = b""
        self._data: list[bytes] = []

    def feed(self, portion: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the events (type, data) that are now complete; exhaust before feeding again."""
        self._buffer += portion
        done = 0
        while end := _LINE_END.search(self._buffer, self._searched):
            line = bytes(self._buffer[done : end.start()])
            done = self._searched = end.end()
            yield from self._take(line)
        del self._buffer[:done]
        self._searched = max(len(self._buffer) - 1, 0)

    def close(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the last event of a server that omits the final blank line."""
        yield from self.feed(b"\n\n")

    def _take(self, line: bytes) -> Iterator[tuple[bytes, bytes]]:
        if not line:
            if self._data:
                yield self._event, b"\n".join(self._data)
            self._event, self._data = b"", []
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name.removeprefix(b"\xef\xbb\xbf") == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value


def is_event_stream(start: bytes, *, is_declared: bool) -> bool | None:
    """Whether an answer with this start is an event stream; None if the start is too short.

    Servers and proxies send streams as text/plain or JSON, and JSON as a stream of events: the
    bytes overrule the Content-Type (`is_declared`).
    """
    text = start.removeprefix(_BOM).lstrip()
    if len(text) < _TELLING_BYTES:
        return None
    return not text.startswith(b"{") if is_declared else _FIRST_FIELD.match(text) is not None
