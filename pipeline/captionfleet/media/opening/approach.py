"""Opens a film shortly before a window, so that nothing before it is decoded (worker process)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

import av

from captionfleet.media.codecs.bitstream import reader_for
from captionfleet.media.codecs.packet_kind import PlanBroken
from captionfleet.media.facts.side_data import sets_state
from captionfleet.media.opening.container import (
    choose_video,
    has_no_timestamps,
    open_media,
    start_ticks,
)
from captionfleet.media.opening.heard import heard_audio
from captionfleet.media.opening.packets import PacketReader

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

    from captionfleet.messages import Clip

__all__ = ["INTERLEAVING_S", "SOUND_BEFORE_S", "Opened", "open_window"]

SOUND_BEFORE_S = 1.0
"""Sound that is decoded before a window: decoders need up to a few packets to settle."""

INTERLEAVING_S = 10.0
"""The largest distance in a file between pictures and sound of the same moment."""

# The fps filter shows frames from half a second before a slot on (round=near, 1 frame/s).
_FRAMES_BEFORE_S = 0.5
# How far before a window to look for an entry. Key frames are seldom further apart than the second
# value; where none is found, the film is read from its start.
_STEPS_BACK_S = (1.5, 12.0, 40.0, 150.0)
_MOST_HELD_BYTES = 64 * 2**20
# Decoders whose packets are not parsed, and that start at the container's key frames.
_KEYS_ARE_ENTRIES = frozenset({"theora", "flv", "wmv1", "wmv2", "ffv1", "h263"})


class Opened(NamedTuple):
    """An open film, its chosen streams, and their packets from before the window on."""

    container: InputContainer
    video: VideoStream
    audio: AudioStream | None
    packets: PacketReader
    held: Iterator[Packet[Any]]


@contextmanager
def open_window(clip: Clip, max_pixels: int) -> Iterator[Opened]:
    """Open the film of a clip at an entry before its window.

    From that entry on, a decoder returns the same frames as when it starts at the beginning of the
    film. The same clip is opened at the same packet every time.

    Raises:
        MediaError: see `open_media` and `choose_video`.
    """
    with open_media(clip.source, max_pixels) as container:
        opened = _opened(clip, container, max_pixels)
        if clip.start_s <= 0:
            yield opened
            return
        held = None if clip.film.is_joined else _sought(opened, clip.start_s)
        if held is not None:
            yield opened._replace(held=held)
            return
    with open_media(clip.source, max_pixels) as container:
        opened = _opened(clip, container, max_pixels)
        yield opened._replace(held=_RunUp(opened, clip.start_s).packets(opened.held))


def _opened(clip: Clip, container: InputContainer, max_pixels: int) -> Opened:
    video = choose_video(container, max_pixels)
    audio = heard_audio(clip.source, container, video, max_pixels)
    reader = PacketReader(container, [video, *([audio] if audio else [])])
    return Opened(container, video, audio, reader, iter(reader))


def _sought(opened: Opened, start_s: float) -> Iterator[Packet[Any]] | None:
    """Packets from an entry before the window; None if seeking finds none."""
    container = opened.container
    if has_no_timestamps(container) or not _RunUp(opened, start_s).may_skip:
        return None
    for back_s in _STEPS_BACK_S:
        if start_s <= back_s:
            return None
        offset = (container.start_time or 0) + round((start_s - back_s) * av.time_base)
        try:
            container.seek(offset)
        except av.FFmpegError:
            return None
        run_up = _RunUp(opened, start_s)
        packets = iter(PacketReader(container, opened.packets.streams))
        head = run_up.head(packets)
        is_last = back_s > INTERLEAVING_S
        if head is not None and (run_up.has_sound_before or is_last):
            return run_up.packets(chain(head, packets))
    return None


class _RunUp:
    """Finds the entry from which to decode for a window, packet by packet."""

    def __init__(self, opened: Opened, start_s: float) -> None:
        self._video = opened.video
        self._start_s = start_s
        self._until_s = start_s - _FRAMES_BEFORE_S
        self._begin()
        self._times: dict[int, tuple[float, int]] = {}
        for stream in filter(None, (opened.video, opened.audio)):
            time_base = Fraction(stream.time_base or 1)
            zero = start_ticks(opened.container, time_base)
            self._times[stream.index] = float(time_base), zero
        self.has_sound_before = opened.audio is None

    @property
    def may_skip(self) -> bool:
        """Whether packets of this decoder reveal where decoding may start."""
        if self._video.codec_context.name == "rawvideo":  # a palette is only at the start
            return False
        return self._reader is not None or self._trusts_keys

    def head(self, packets: Iterator[Packet[Any]]) -> list[Packet[Any]] | None:
        """The packets up to the first certain entry; None if that is not before the window."""
        head: list[Packet[Any]] = []
        entry_s, held_bytes = inf, 0
        for packet in packets:
            head.append(packet)
            held_bytes += packet.size
            at_s = self._time_s(packet)
            if packet.stream_index != self._video.index:
                self.has_sound_before |= at_s <= self._start_s - SOUND_BEFORE_S / 2
            elif entry_s == inf and self._is_entry(packet):
                entry_s = at_s
            is_found = entry_s < inf and self.has_sound_before
            if is_found or at_s > self._start_s or held_bytes > _MOST_HELD_BYTES:
                break
        self._begin()
        return head if entry_s <= self._until_s and not self._is_pinned else None

    def packets(self, packets: Iterator[Packet[Any]]) -> Iterator[Packet[Any]]:
        """All packets except pictures before the last entry that is early enough."""
        held: list[Packet[Any]] = []
        held_bytes = 0
        for packet in packets:
            if packet.stream_index != self._video.index:
                yield packet
                continue
            if self._is_entry(packet) and self._time_s(packet) <= self._until_s:
                held.clear()
                held_bytes = 0
            held.append(packet)
            held_bytes += packet.size
            dts = packet.dts if packet.dts is not None else packet.pts
            is_past = dts is not None and self._seconds(packet, dts) > self._until_s
            if is_past or held_bytes > _MOST_HELD_BYTES:
                break
        yield from held
        yield from packets

    def _begin(self) -> None:
        context = self._video.codec_context
        self._reader = reader_for(context.name, context.extradata)
        self._trusts_keys = context.name in _KEYS_ARE_ENTRIES
        self._is_pinned = False

    def _is_entry(self, packet: Packet[VideoStream]) -> bool:
        """Whether decoding may start here without missing a frame."""
        if self._is_pinned or not packet.size or (packet.pts is None and packet.dts is None):
            return False
        if self._reader is None:
            return self._trusts_keys and packet.is_keyframe
        try:
            kind = self._reader.read(memoryview(packet), is_key=packet.is_keyframe)
        except PlanBroken:
            self._reader = None
            return False
        self._is_pinned = kind.is_pinned or sets_state(packet)
        return kind.is_entry and not self._is_pinned

    def _time_s(self, packet: Packet[Any]) -> float:
        ticks = packet.pts if packet.pts is not None else packet.dts
        return float("-inf") if ticks is None else self._seconds(packet, ticks)

    def _seconds(self, packet: Packet[Any], ticks: int) -> float:
        tick_s, zero = self._times[packet.stream_index]
        return (ticks - zero) * tick_s
