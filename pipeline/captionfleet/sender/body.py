"""Streams a request body from disk through aiohttp, never holding all of it (main process)."""

from contextlib import aclosing

import aiohttp
import anyio
from aiohttp.abc import AbstractStreamWriter

from captionfleet.errors import FailureCode
from captionfleet.sender.routing.verdict import Verdict, judge
from captionfleet.sender.upload import MediaChangedError, MediaUnreadableError, Upload
from captionfleet.telemetry import monotonic_s

__all__ = ["UPLOAD_STALL_S", "Body"]

UPLOAD_STALL_S = 60.0  # as the default of nginx for a stalled body
_CLOSED_S = 1.0  # a request that fails this soon met a connection that the server had closed


class Body(aiohttp.Payload):
    """A body that aiohttp writes by calling `write`; it times out if the server stops reading."""

    def __init__(self, upload: Upload, *, stall_s: float) -> None:
        super().__init__(upload, content_type="application/json")
        self._upload = upload
        self._stall_s = stall_s
        self._size = upload.size_bytes
        self.problem: Verdict | None = None
        self.written_s: float | None = None

    @property
    def was_out_briefly(self) -> bool:
        """Whether the body went out so recently that no server can have processed it."""
        return self.written_s is None or monotonic_s() - self.written_s < _CLOSED_S

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: ARG002 - theirs
        """Not supported: the body is never in memory as a whole."""
        raise TypeError("a streamed body has no text")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body; stop at the first sign that its media changed or cannot be read."""
        try:
            with anyio.fail_after(self._stall_s) as stall:
                async with aclosing(self._upload.pieces()) as pieces:
                    async for piece in pieces:
                        await writer.write(piece)
                        stall.deadline = anyio.current_time() + self._stall_s
        except MediaChangedError as error:
            self.problem = judge(FailureCode.SOURCE_CHANGED, str(error))
            raise
        except MediaUnreadableError as error:
            self.problem = judge(FailureCode.SOURCE_UNREADABLE, str(error))
            raise
        self.written_s = monotonic_s()
