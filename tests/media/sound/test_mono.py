"""Sound is the same however it comes in pieces."""

import hashlib
from pathlib import Path

import pytest
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from captionfleet.media.sound.mono import MonoResampler

RATE_HZ = 44_100
SECONDS = 2


@pytest.mark.parametrize("samples", [1, 64, 1024, 4096, 2 * RATE_HZ])
@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
def test_pieces_do_not_matter(samples: int, layout: str) -> None:
    """Frames of any size give the samples that a resampler gives of them, one by one."""
    count = min(SECONDS * RATE_HZ // samples, 500)
    mono, bare = MonoResampler(), AudioResampler("s16", "mono", 16_000)
    pushed = [mono.push(frame(samples, layout, at)) for at in range(count)] + [mono.push(None)]
    ours = b"".join(piece for pieces in pushed for piece in pieces)
    frames = [*(frame(samples, layout, at) for at in range(count)), None]
    pieces = [piece for one in frames for piece in bare.resample(one)]
    theirs = b"".join(bytes(piece.planes[0])[: piece.samples * 2] for piece in pieces)
    assert len(ours) == 2 * round(count * samples * 16_000 / RATE_HZ) or count * samples < RATE_HZ
    assert ours == theirs


@pytest.mark.parametrize("layout", ["stereo", "5.1", "16 channels"])
def test_mixing_starts_no_thread(layout: str) -> None:
    """A worker on a machine of many cores would have one for each."""
    before = len(list(Path("/proc/self/task").iterdir()))
    mono = MonoResampler()
    assert b"".join(mono.push(frame(RATE_HZ, layout, 0)))
    assert len(list(Path("/proc/self/task").iterdir())) <= before


def frame(samples: int, layout: str, at: int) -> AudioFrame:
    """Noise that another place does not repeat."""
    made = AudioFrame("s16", layout, samples)
    plane = made.planes[0]
    noise = hashlib.shake_128(at.to_bytes(4)).digest(plane.buffer_size)
    plane.update(noise)
    made.sample_rate = RATE_HZ
    return made
