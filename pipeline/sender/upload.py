"""A request body that is read from the media files while it is sent (main process)."""

import hashlib
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

import pybase64
from anyio import to_thread

from pipeline.messages import ReadyClip
from pipeline.sender.protocol import BodyTemplate

__all__ = ["MediaChangedError", "Upload"]

_BLOCK_BYTES = 3 * 2**16  # of three: the base64 of one block then needs nothing of the next


class MediaChangedError(Exception):
    """Raised when prepared media are not, or no longer, what their facts say."""


@dataclass(slots=True)
class _Medium:
    path: Path
    size_bytes: int
    sha256: str | None
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def base64_at(self, offset: int) -> bytes:
        """Read one block; no file stays open from one to the next."""
        with self.path.open("rb") as file:
            file.seek(offset)
            block = file.read(min(_BLOCK_BYTES, self.size_bytes - offset))
        self.digest.update(block)
        is_last = offset + _BLOCK_BYTES >= self.size_bytes
        if is_last and self.digest.hexdigest() != self.sha256:
            raise MediaChangedError("prepared media changed on disk")
        return pybase64.b64encode(block)


class Upload:
    """The bytes of one request, of a length that is known before.

    The last block comes only when all that was read is what the facts name: a server never
    sees the whole of a body whose media changed on disk.
    """

    def __init__(self, template: BodyTemplate, ready: ReadyClip) -> None:
        facts = ready.facts
        self.size_bytes = template.size_bytes(facts.video_bytes, facts.audio_bytes)
        self._parts: list[bytes | _Medium] = [
            template.head,
            _Medium(ready.video, facts.video_bytes, facts.video_sha256),
        ]
        if template.audio_head is not None and ready.audio is not None:
            audio = _Medium(ready.audio, facts.audio_bytes, facts.audio_sha256)
            self._parts += [template.audio_head, audio]
        self._parts.append(template.tail)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body in order.

        Raises:
            MediaChangedError: a file is gone, unreadable or another one than was prepared.
        """
        for part in self._parts:
            if isinstance(part, bytes):
                yield part
                continue
            for offset in range(0, part.size_bytes, _BLOCK_BYTES):
                yield await self._read(part, offset)

    async def _read(self, medium: _Medium, offset: int) -> bytes:
        try:
            return await to_thread.run_sync(medium.base64_at, offset)
        except OSError as error:
            raise MediaChangedError(f"prepared media: {os.strerror(error.errno or 0)}") from None
