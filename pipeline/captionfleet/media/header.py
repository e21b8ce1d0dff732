"""Reads a file's header, and its packets as far as the order asks for (worker process)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from captionfleet.media.opening.container import (
    choose_audio,
    choose_video,
    open_media,
)
from captionfleet.media.opening.film_end import EndWatch, film_end_s
from captionfleet.media.opening.heard import heard_audio
from captionfleet.media.opening.lengths import source_seconds
from captionfleet.media.opening.packets import PacketReader
from captionfleet.media.opening.source_bytes import require_unchanged
from captionfleet.media.orders import Header, HeaderOrder
from captionfleet.media.scenes.changes import SceneWatch

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = ["read_header"]

# Windows shrink to about a hundredth; a day is this many minutes.
_MOST_ERRORS = 100 * 24 * 60


def read_header(order: HeaderOrder) -> Header:
    """Read the header of a source.

    Raises:
        MediaError: it cannot be opened, or has no video that can be decoded.
    """
    with open_media(order.source, order.max_pixels) as container:
        stream = choose_video(container, order.max_pixels)
        context = stream.codec_context
        header = Header(
            context.name,
            context.width,
            context.height,
            source_seconds(container, stream),
            choose_audio(container) is not None,
            PacketReader(container, [stream]).may_jump,
        )
        if order.reading == "end":
            seconds = film_end_s(container, stream, header.seconds)
            header = replace(header, seconds=seconds)
        elif order.reading != "header":
            header = _looked_through(header, order, container, stream)
        require_unchanged(order.source)
        return header


def _looked_through(
    header: Header, order: HeaderOrder, container: InputContainer, stream: VideoStream
) -> Header:
    """The header completed with facts from all packets of the film."""
    # Sound is read too, as for a clip: the common clock depends on its times.
    audio = heard_audio(order.source, container, stream, order.max_pixels)
    reader = PacketReader(container, [stream, *([audio] if audio else [])], _MOST_ERRORS)
    end = EndWatch(container, stream)
    scenes = SceneWatch(container, stream) if order.reading == "scenes" else None
    for packet in reader:
        if packet.stream_index == stream.index:
            end.see(packet)
            if scenes is not None:
                scenes.see(packet)
    return replace(
        header,
        seconds=end.seconds,
        is_joined=reader.has_jumped,
        scene_changes_s=scenes.finish() if scenes is not None else (),
    )
