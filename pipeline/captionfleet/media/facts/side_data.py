"""Reads side data of packets and frames, even beside kinds unknown to PyAV (worker process)."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, cast

from av.filter import Graph
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame

if TYPE_CHECKING:
    from collections.abc import Mapping

    from av.buffer import Buffer
    from av.packet import Packet

__all__ = ["display_matrix", "sets_state"]

# Side data that the decoder keeps for the packets to come (libav's names). A palette in AVI and
# QuickTime comes with the first packet alone, or with the first of a change.
_STATE: tuple[Literal["new_extradata", "palette", "param_change"], ...] = (
    "new_extradata",
    "palette",
    "param_change",
)

# PyAV lists no side data of a frame that has a kind unknown to it (EXIF in a JPEG or a TIFF, views
# of a multi-view stream). libav numbers its kinds without gaps, and adds about one a year.
_UNNAMED = range(len(Type), len(Type) + 16)


def sets_state(packet: Packet[Any]) -> bool:
    """Whether a packet's side data changes how later packets are decoded."""
    if next(packet.iter_sidedata(), None) is None:  # a fifth of the time of asking for each
        return False
    return any(packet.has_sidedata(kind) for kind in _STATE)


def display_matrix(frame: VideoFrame) -> tuple[int, ...]:
    """The nine numbers of a frame's display matrix; empty if it has none."""
    try:
        raw = _matrix_bytes(frame)
    except ValueError:
        raw = _matrix_bytes(_without_unnamed(frame))
    return struct.unpack(f"={len(raw) // 4}i", raw)


def _matrix_bytes(frame: VideoFrame) -> bytes:
    side_data = cast("Mapping[str, Buffer]", frame.side_data)
    return bytes(side_data["DISPLAYMATRIX"]) if "DISPLAYMATRIX" in side_data else b""


def _without_unnamed(frame: VideoFrame) -> VideoFrame:
    """The same picture without side data that PyAV cannot name."""
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1)
    )
    strippers = [graph.add("sidedata", f"mode=delete:type={kind}") for kind in _UNNAMED]
    graph.link_nodes(source, *strippers, graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()
