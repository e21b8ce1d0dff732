"""Packets' bytes are read as far as they make sense, and never further."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.media.codecs.bitstream import reader_for
from captionfleet.media.codecs.packet_kind import (
    CLOSED_ENTRY,
    DISPOSABLE,
    NEEDED,
    PINNED,
    PacketKind,
    PlanBroken,
)

DECODERS = ["h264", "hevc", "libdav1d", "vp8", "vp9", "mpeg2video", "mpeg4", "mjpeg"]
AVCC = b"\x01\x4d\x00\x1e\xff\xe0\x00"  # four bytes of length, no parameter sets
HVCC = b"\x01" + bytes(20) + b"\x03\x00"
START = b"\x00\x00\x01"
SPS_IDR_P_B = (b"\x67\x4d\x00\x1e\xf4", b"\x65\x88\x80", b"\x41\x9a\x00", b"\x01\x9e\x00")
LIKELY = st.sampled_from(
    [START, b"\x00\x00\x00\x01", b"\x67", b"\x68", b"\x65", b"\x06\x06", b"\x00\x00\x01\xb3"]
)


@pytest.mark.parametrize("decoder", DECODERS)
@given(
    extradata=st.none() | st.binary(max_size=64) | st.binary(max_size=64).map(AVCC.__add__),
    packets=st.lists(st.lists(st.binary(max_size=8) | LIKELY, max_size=6), max_size=3),
)
def test_whatever_the_bytes_are_reading_ends(
    decoder: str, extradata: bytes | None, packets: list[list[bytes]]
) -> None:
    """Any bytes give a kind, or tell that nothing can be planned; never another error."""
    reader = reader_for(decoder, extradata)
    assert reader is not None
    with suppress(PlanBroken):
        for packet in packets:
            whole = memoryview(b"".join(packet) or b"\x00")
            assert isinstance(reader.read(whole, is_key=True), PacketKind)


def sized(*units: bytes) -> memoryview:
    return memoryview(b"".join(len(unit).to_bytes(4) + unit for unit in units))


def marked(*units: bytes) -> memoryview:
    return memoryview(b"".join(START + unit for unit in units))


@pytest.mark.parametrize(("extradata", "packed"), [(AVCC, sized), (None, marked)])
def test_h264_says_what_its_pictures_are(extradata: bytes | None, packed: type) -> None:
    """An IDR picture is an entry, a reference needed, and what nobody refers to is neither."""
    reader = reader_for("h264", extradata)
    assert reader is not None
    sps, idr, reference, other = SPS_IDR_P_B
    packets = [packed(sps, idr), packed(reference), packed(other), packed(sps, idr)]
    kinds = [reader.read(packet, is_key=False) for packet in packets]
    assert kinds == [CLOSED_ENTRY, NEEDED, DISPOSABLE, CLOSED_ENTRY]


def test_new_settings_pin_their_packet() -> None:
    """Where a parameter set replaces a different one, its packet must not be left out."""
    reader = reader_for("h264", None)
    assert reader is not None
    sps, idr, *_ = SPS_IDR_P_B
    other = sps[:-1] + b"\xe4"
    kinds = [reader.read(marked(one, idr), is_key=True) for one in (sps, other, other)]
    assert kinds == [CLOSED_ENTRY, PINNED, CLOSED_ENTRY]


@pytest.mark.parametrize(("decoder", "extradata"), [("h264", AVCC), ("hevc", HVCC)])
def test_lengths_that_make_no_sense_break_the_plan(decoder: str, extradata: bytes) -> None:
    """Start codes where the container promises lengths are no lengths."""
    reader = reader_for(decoder, extradata)
    assert reader is not None
    packet = memoryview(b"\x00\x00\x00\x01" + bytes.fromhex("67640028acd9"))
    with pytest.raises(PlanBroken):
        reader.read(packet, is_key=True)


def test_pictures_of_lower_layers_are_needed_though_marked_as_no_reference() -> None:
    """HEVC's mark speaks of a picture's own temporal layer; those above may refer to it."""
    sps = b"\x42\x01\x05" + bytes(20)  # of up to three layers
    reader = reader_for("hevc", None)
    assert reader is not None
    idr = reader.read(marked(sps, b"\x26\x01\xaf"), is_key=True)
    kinds = [reader.read(marked(bytes([0, layer, 0xD0])), is_key=False) for layer in (1, 2, 3)]
    assert [idr, *kinds] == [CLOSED_ENTRY, NEEDED, NEEDED, DISPOSABLE]
