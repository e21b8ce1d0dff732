"""Reads what a file says of itself, and decodes nothing (worker process)."""

from __future__ import annotations

from captionfleet.media.opening.container import (
    choose_audio,
    choose_video,
    open_media,
)
from captionfleet.media.opening.film_end import film_end_s
from captionfleet.media.opening.lengths import source_seconds
from captionfleet.media.opening.source_bytes import require_unchanged
from captionfleet.media.orders import Header, HeaderOrder

__all__ = ["read_header"]


def read_header(order: HeaderOrder) -> Header:
    """Read the header of a source.

    Raises:
        MediaError: it cannot be opened, or has no video that can be decoded.
    """
    with open_media(order.source, order.max_pixels) as container:
        stream = choose_video(container, order.max_pixels)
        context = stream.codec_context
        seconds = source_seconds(container, stream)
        if order.to_end:
            seconds = film_end_s(container, stream, seconds)
        has_audio = choose_audio(container) is not None
        require_unchanged(order.source)
        return Header(context.name, context.width, context.height, seconds, has_audio)
