"""Samples frames by decoding only the packets that they need (worker process)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from enum import StrEnum
from itertools import islice

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from captionfleet.media.codecs.bitstream import reader_for
from captionfleet.media.codecs.packet_kind import (
    PINNED,
    KindReader,
    PacketKind,
    PlanBroken,
)
from captionfleet.media.facts.side_data import sets_state
from captionfleet.media.sampling.fps_filter import FpsFilter
from captionfleet.media.sampling.full import FullSampler, Outputs, Sampler, Timing
from captionfleet.media.sampling.planned_decoder import PlannedDecoder
from captionfleet.media.sampling.planning import PacketPlanner, Wanted

__all__ = ["PlannedSampler", "Replay", "make_sampler"]

Replay = Callable[[], tuple[VideoStream, Iterator["Packet[VideoStream]"]]]
"""Opens the file once more: its video stream, and the same packets from the first one on."""

# Some muxers lose the timestamps of B-frames and write PTS = DTS throughout. The order of decoded
# frames reveals this, so the first packets of such a stream are decoded in full.
_PROBATION_PACKETS = 16

_MOST_HELD_BYTES = 64 * 2**20  # no valid stream needs a longer look-ahead


def make_sampler(  # noqa: PLR0913 - what a sampler is made of
    stream: VideoStream,
    fps_filter: FpsFilter,
    outputs: Outputs,
    timing: Timing,
    *,
    replay: Replay,
    fast: bool,
) -> Sampler:
    """The cheapest sampler for this stream; `fast` allows any frame within a slot."""
    context = stream.codec_context
    reader = reader_for(context.name, context.extradata)
    if reader is None or timing.unreliable:
        return FullSampler(stream, fps_filter, outputs, timing)
    return PlannedSampler(stream, fps_filter, outputs, timing, replay, reader=reader, fast=fast)


_Frame = list["Packet[VideoStream]"]  # one, or one for each field


class _Phase(StrEnum):
    """How far a stream is understood, and so how it is decoded; phases only advance."""

    UNBEGUN = "decodes all until the first picture is out"
    PROBING = "decodes all until the order is known"
    PLANNED = "decodes what is needed"
    GIVEN_UP = "decodes all"


class PlannedSampler:
    """Decodes only what the planner needs.

    If anything contradicts the plan, it is dropped: a fresh decoder decodes everything from the
    last entry before the newest confirmed frame.
    """

    def __init__(  # noqa: PLR0913 - see make_sampler
        self,
        stream: VideoStream,
        fps_filter: FpsFilter,
        outputs: Outputs,
        timing: Timing,
        replay: Replay,
        *,
        reader: KindReader,
        fast: bool,
    ) -> None:
        self._outputs, self._timing, self._replay = outputs, timing, replay
        self._reader = reader
        self._planner = PacketPlanner(fps_filter, fast=fast)
        self._decoder = PlannedDecoder(stream, outputs, timing)
        self._may_reorder = stream.codec_context.has_b_frames
        self._full: FullSampler | None = None
        self._held: list[_Frame] = []
        self._held_bytes = 0
        self._packets_seen = self._packets_gone = 0
        self._entered_at = self._certain_from = 0  # packets before the newest entry
        self._phase = _Phase.UNBEGUN
        self._has_reordering = False
        self._newest_pts: int | None = None
        self._last_duration = 0

    def __repr__(self) -> str:
        return (
            f"<PlannedSampler {self._phase}; {self._packets_seen} packets, {len(self._held)} held>"
        )

    @property
    def is_complete(self) -> bool:
        """Whether every slot has its frame."""
        return self._full.is_complete if self._full else self._planner.is_complete

    @property
    def first_slot(self) -> int | None:
        """The slot of the first frame, None before there is one."""
        return self._full.first_slot if self._full else self._planner.first_slot

    @property
    def last_frame(self) -> tuple[VideoFrame, float] | None:
        """The newest frame and its time, for clips too short to fill a slot."""
        return self._full.last_frame if self._full else None

    def push(self, packet: Packet[VideoStream]) -> None:
        """Hold a packet, and decode packets whose need is decided."""
        if self._full:
            self._full.push(packet)
        elif packet.size:
            self._packets_seen += 1
            try:
                self._plan(packet)
            except PlanBroken:
                self._decode_all()

    def finish(self) -> None:
        """Decode the rest; every wanted frame must come out."""
        if not self._full:
            try:
                self._finish_plan()
            except PlanBroken:
                self._decode_all()
        if self._full:
            self._full.finish()

    def _decode_all(self) -> None:
        """Drop the plan, and decode everything from the last confirmed frame on."""
        self._phase = _Phase.GIVEN_UP
        self._held.clear()
        self._decoder.let_go()
        stream, packets = self._replay()
        fps_filter = self._planner.filter_after(self._decoder.slots_done)
        self._full = FullSampler(stream, fps_filter, self._outputs, self._timing)
        again = (packet for packet in packets if packet.size)
        for packet in islice(again, self._certain_from, self._packets_seen):
            if self._full.is_complete:
                break
            self._full.push(packet)

    def _plan(self, packet: Packet[VideoStream]) -> None:
        if packet.is_corrupt:
            raise PlanBroken
        kind = self._kind(packet)
        if kind.is_rest and self._held:
            self._held[-1].append(packet)
            self._held_bytes += packet.size
        elif kind.is_rest or (packet.pts is None and self._phase is _Phase.UNBEGUN):
            self._packets_gone += 1
            self._decode([packet])
        elif packet.pts is None or self._held_bytes > _MOST_HELD_BYTES:
            raise PlanBroken
        else:
            self._plan_frame(packet, packet.pts - self._timing.zero, kind)

    def _kind(self, packet: Packet[VideoStream]) -> PacketKind:
        kind = self._reader.read(memoryview(packet), is_key=packet.is_keyframe)
        if sets_state(packet):
            return PINNED
        return replace(kind, is_shown=False) if packet.is_discard else kind

    def _plan_frame(self, packet: Packet[VideoStream], pts: int, kind: PacketKind) -> None:
        if self._newest_pts is None or pts > self._newest_pts:
            self._newest_pts, self._last_duration = pts, packet.duration or 0
        if self._packets_seen == 1 and kind.is_closed:
            self._begin(None)
        self._held.append([packet])
        self._held_bytes += packet.size
        self._has_reordering |= packet.pts != packet.dts
        dts = None if packet.dts is None else packet.dts - self._timing.zero
        self._pursue(self._planner.add(pts, dts, kind))

    def _begin(self, first_pts: int | None) -> None:
        self._planner.begin(first_pts)
        self._phase = _Phase.PROBING if self._may_reorder else _Phase.PLANNED

    def _pursue(self, wanted: list[Wanted]) -> None:
        self._decoder.expect(wanted, self._planner.settled_pts)
        if self._phase is not _Phase.PLANNED:
            self._probe()
            return
        for one in wanted:
            self._decode_up_to(one)
        self._emit()
        self._let_go(self._planner.take_useless())

    def _probe(self) -> None:
        """Decode everything until the first frame and the output order are known."""
        self._planner.decode_held()
        for frame in self._let_go(len(self._held)):
            self._decode(frame)
        is_sane = self._has_reordering or self._packets_seen >= _PROBATION_PACKETS
        if self._phase is not _Phase.UNBEGUN and (is_sane or not self._may_reorder):
            self._phase = _Phase.PLANNED
            self._emit()

    def _decode_up_to(self, wanted: Wanted) -> None:
        step = self._planner.next_step(wanted)
        if step is None:
            return
        self._let_go(step.drop)
        if step.restart:
            self._decode([None])
            self._decoder.restart(wanted.pts)
            self._entered_at = self._packets_gone
        for frame, is_needed in zip(self._let_go(len(step.decode)), step.decode, strict=True):
            if is_needed:
                self._decode(frame)

    def _let_go(self, count: int) -> list[_Frame]:
        gone, self._held = self._held[:count], self._held[count:]
        self._packets_gone += sum(len(frame) for frame in gone)
        self._held_bytes -= sum(packet.size for frame in gone for packet in frame)
        return gone

    def _decode(self, packets: Iterable[Packet[VideoStream] | None]) -> None:
        for packet in packets:
            self._decoder.decode(packet)
            if self._phase is _Phase.PLANNED:
                self._emit()
        if self._phase is _Phase.UNBEGUN and self._decoder.first_pts is not None:
            self._begin(self._decoder.first_pts)

    def _emit(self) -> None:
        if self._decoder.emit():
            self._certain_from = self._entered_at

    def _finish_plan(self) -> None:
        if self._phase is _Phase.UNBEGUN:
            raise PlanBroken
        if not self._planner.is_complete:
            self._phase = _Phase.PLANNED
            self._pursue(self._planner.finish(self._last_duration, self._timing.by_rate))
        self._decode([None])
        self._decoder.finish()
