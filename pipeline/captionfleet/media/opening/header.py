"""Reads what a file says of itself, and decodes nothing (worker process)."""

from __future__ import annotations

from captionfleet.media.opening.container import (
    choose_audio,
    choose_video,
    open_media,
)
from captionfleet.media.opening.film_end import end_of, film_end_s
from captionfleet.media.opening.heard import heard_audio
from captionfleet.media.opening.lengths import source_seconds
from captionfleet.media.opening.packets import PacketReader
from captionfleet.media.opening.source_bytes import require_unchanged
from captionfleet.media.orders import Header, HeaderOrder

__all__ = ["read_header"]

# A clip's part of a film is left after a hundred; a day is this many minutes.
_MOST_ERRORS = 100 * 24 * 60


def read_header(order: HeaderOrder) -> Header:
    """Read the header of a source.

    Raises:
        MediaError: it cannot be opened, or has no video that can be decoded.
    """
    with open_media(order.source, order.max_pixels) as container:
        stream = choose_video(container, order.max_pixels)
        context = stream.codec_context
        reader, is_joined = PacketReader(container, [stream]), False
        seconds = source_seconds(container, stream)
        if order.reading == "end":
            seconds = film_end_s(container, stream, seconds)
        elif order.reading == "whole":
            # With the sound, as for a clip: it is part of what the common clock is made of.
            audio = heard_audio(order.source, container, stream, order.max_pixels)
            reader = PacketReader(container, [stream, *([audio] if audio else [])], _MOST_ERRORS)
            seconds, is_joined = end_of(reader, container, stream), reader.has_jumped
        require_unchanged(order.source)
        return Header(
            context.name,
            context.width,
            context.height,
            seconds,
            choose_audio(container) is not None,
            reader.may_jump,
            is_joined,
        )
