"""Reading an object in parts: the very bytes, few more than are read, and an end to trust."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.errors import FailureCode, MediaError
from captionfleet.media.ranges import ANSWER, ASK, MOST_BYTES, RangeFile, RangeReader

OBJECT = bytes(range(251)) * 40_000
_ANSWER_S = 60.0


@dataclass
class Served:
    """A reader, and what it asked for: offset, length, and what it will ask for next."""

    reader: RangeReader
    asked: list[tuple[int, int, int]] = field(default_factory=list)

    @property
    def asked_bytes(self) -> int:
        """All that crossed the socket."""
        return sum(length for _, length, _ in self.asked)


@contextmanager
def serving(data: bytes, fails_at: int | None = None) -> Iterator[Served]:
    """An object behind a socket; from the request of this number on there is only an error."""
    ours, theirs = socket.socketpair()
    served = Served(RangeReader(theirs.fileno(), len(data)))

    def serve() -> None:
        while len(request := ours.recv(ASK.size, socket.MSG_WAITALL)) == ASK.size:
            offset, length, _ = asked = ASK.unpack(request)
            served.asked.append(asked)
            if fails_at is not None and len(served.asked) > fails_at:
                body = f"{FailureCode.SOURCE_CHANGED}\nchanged".encode()
                ours.sendall(ANSWER.pack(-1, len(body)) + body)
            else:
                ours.sendall(ANSWER.pack(0, length) + data[offset : offset + length])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with ours:
        try:
            yield served
        finally:
            theirs.close()
            thread.join(_ANSWER_S)


PLACES = st.lists(
    st.tuples(st.integers(0, len(OBJECT) + 9), st.integers(0, 300_000)), min_size=1, max_size=30
)


@given(reads=PLACES)
def test_whatever_is_read_are_the_bytes_of_the_object(reads: list[tuple[int, int]]) -> None:
    with serving(OBJECT) as served:
        for offset, size_bytes in reads:
            assert served.reader.read_at(offset, size_bytes) == OBJECT[offset : offset + size_bytes]

    assert all(0 < length <= MOST_BYTES for _, length, _ in served.asked)
    assert all(offset + length + after <= len(OBJECT) for offset, length, after in served.asked)


@pytest.mark.parametrize("read_bytes", [1000, 1_000_000, len(OBJECT)])
def test_little_more_is_fetched_than_read(read_bytes: int) -> None:
    """What is read in a row, in small steps, and gone back over, is fetched once."""
    with serving(OBJECT) as served:
        file = RangeFile(served.reader)
        for _ in range(2):
            file.seek(0)
            while file.tell() < read_bytes:
                assert file.read(min(32_768, read_bytes - file.tell()))
    ahead = served.asked[-1][2]

    assert served.asked_bytes + ahead <= 1.25 * read_bytes + 2 * (1 << 17)


def test_after_a_failure_nothing_is_read() -> None:
    """Not even what was fetched before: a film must not seem to end there."""
    with serving(OBJECT, fails_at=1) as served:
        assert served.reader.read_at(0, 1) == OBJECT[:1]
        for _ in range(2):
            with pytest.raises(MediaError, match="changed") as raised:
                served.reader.read_at(5_000_000, 1)
            assert raised.value.code is FailureCode.SOURCE_CHANGED
        assert served.reader.failure is raised.value
    assert len(served.asked) == 2


def test_a_socket_that_closes_is_an_unreadable_source() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.close()
        reader = RangeReader(theirs.fileno(), 100)
        with pytest.raises(MediaError) as raised:
            reader.read_at(0, 1)
    assert raised.value.code is FailureCode.SOURCE_UNREADABLE
