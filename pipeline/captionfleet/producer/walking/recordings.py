"""Recognises recordings whose clock may be reset midway, by their first bytes (main process)."""

import os
from contextlib import suppress

from captionfleet.messages import Source
from captionfleet.messages.address import is_address, parse_address
from captionfleet.system.regular_file import open_regular

__all__ = ["may_be_joined"]

_HEAD_BYTES = 16_384
# A transport stream is packets of 188 bytes, with a time before each (M2TS) or a checksum behind
# it, that begin with one byte (ISO/IEC 13818-1, 2.4.3.2); a program stream begins with a pack.
_SYNC, _PACKET_BYTES, _IN_A_ROW = 0x47, (188, 192, 204), 5
_PACK = b"\x00\x00\x01\xba"
_ENDINGS = (".ts", ".m2ts", ".mts", ".m2t", ".trp", ".mpg", ".mpeg", ".mpe", ".vob", ".tod", ".mod")


def may_be_joined(source: Source) -> bool:
    """Whether a film looks like an MPEG transport or program stream. Blocks.

    An object's ending decides, since its first bytes would cost a request.
    """
    if is_address(source.path):
        return parse_address(source.path).key.lower().endswith(_ENDINGS)
    with suppress(OSError), os.fdopen(open_regular(os.path.realpath(source.path)), "rb") as file:
        return is_stream(file.read(_HEAD_BYTES))
    return False


def is_stream(head: bytes) -> bool:
    """Whether the first bytes of a file are those of such a stream."""
    return _PACK in head or any(
        head[at::size][:_IN_A_ROW] == bytes([_SYNC]) * _IN_A_ROW
        for size in _PACKET_BYTES
        for at in range(size)
    )
