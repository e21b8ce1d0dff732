"""The Ogg that is sent: its sound is as long as what was written, and nowhere ahead of it."""

from pathlib import Path

import av
import numpy as np

from captionfleet.media.sound.writer import SAMPLE_RATE_HZ, SoundWriter

SECONDS = 59
OPUS_RATE_HZ = 48_000  # of all times in an Ogg with Opus (RFC 7845)


def test_times_do_not_drift_from_the_samples(tmp_path: Path) -> None:
    """Every packet begins where the one before it ends, and the last where the samples end."""
    rng = np.random.default_rng(1)
    samples = rng.integers(-8000, 8000, SECONDS * SAMPLE_RATE_HZ + 7, dtype=np.int16)
    writer = SoundWriter(tmp_path / "sound.ogg", 24_000)
    for start in range(0, len(samples), 1000):
        writer.write(samples[start : start + 1000].tobytes())
    writer.finish()
    with av.open(tmp_path / "sound.ogg") as container:
        packets = [packet for packet in container.demux(audio=0) if packet.pts is not None]
        (base,) = {packet.time_base for packet in packets}
    assert float(base) * OPUS_RATE_HZ == 1
    begins = [packet.pts for packet in packets]
    ends = [begin + (packet.duration or 0) for begin, packet in zip(begins, packets, strict=True)]
    assert begins[1:] == ends[:-1]
    assert ends[-1] == round(len(samples) / SAMPLE_RATE_HZ * OPUS_RATE_HZ)
