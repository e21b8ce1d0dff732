"""Server-sent events out of bytes (main process; pure)."""

import re
from collections.abc import Iterator

__all__ = ["EventLines"]

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
