"""Server-sent events out of bytes (main process; pure)."""

import re
from collections.abc import Iterator

__all__ = ["EventLines", "is_event_stream"]

_BOM = b"\xef\xbb\xbf"
_FIRST_FIELD = re.compile(rb"(data|event|id|retry)?:")
_TELLING_BYTES = 6  # the longest of these with its colon
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")  # a last \r may be half of \r\n


class EventLines:
    """Splits server-sent events out of bytes that arrive in any portions (WHATWG HTML 9.2)."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._event = b""
        self._data: list[bytes] = []

    def feed(self, portion: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The events (type, data) that are complete now; exhaust it before feeding again."""
        self._buffer += portion
        done = 0
        while end := _LINE_END.search(self._buffer, self._searched):
            line = bytes(self._buffer[done : end.start()])
            done = self._searched = end.end()
            yield from self._take(line)
        del self._buffer[:done]
        self._searched = max(len(self._buffer) - 1, 0)

    def close(self) -> Iterator[tuple[bytes, bytes]]:
        """What a server that forgets the last blank line left behind."""
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
    """Whether an answer that begins like this is a stream of events; None if too little is there.

    Servers and proxies send streams as text/plain or JSON, and JSON as a stream of events: what
    the bytes say counts for more than the Content-Type (`is_declared`).
    """
    text = start.removeprefix(_BOM).lstrip()
    if len(text) < _TELLING_BYTES:
        return None
    return not text.startswith(b"{") if is_declared else _FIRST_FIELD.match(text) is not None
