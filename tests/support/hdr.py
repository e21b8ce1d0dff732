"""Graded HDR test charts: columns of known light as true PQ or HLG pixels, BT.2020, 10 bit.

The transfer functions are written from the standards (SMPTE ST 2084, ITU-R BT.2100), apart from
those of the program.
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from tests.support.odd_films import BT2020, LIMITED, PQ

Linear = Sequence[Sequence[float]]
WIDTH_PX, HEIGHT_PX = 320, 180
# Linear BT.709 to linear BT.2020 (ITU-R BT.2087).
FROM_BT709 = np.array(
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
)


def write_chart(path: Path, transfer: int, cd_m2: Linear, seconds: int = 2) -> Path:
    """A film whose columns show colours, given as linear BT.709 light in cd/m²."""
    light = np.array(cd_m2, dtype=float) @ FROM_BT709.T
    signal = pq(light) if transfer == PQ else hlg(light)
    luma = signal @ [0.2627, 0.6780, 0.0593]
    blue, red = (signal[:, 2] - luma) / 1.8814, (signal[:, 0] - luma) / 1.4746
    codes = (64 + 876 * luma, 512 + 896 * blue, 512 + 896 * red)
    with av.open(path, "w") as container:
        stream = container.add_stream(
            "libx265",
            rate=1,
            options={"x265-params": "log-level=none:qp=4:bframes=0", "preset": "ultrafast"},
        )
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p10le"
        context = stream.codec_context
        context.thread_count = 1
        context.color_primaries = context.colorspace = BT2020
        context.color_trc, context.color_range = transfer, LIMITED
        for number in range(seconds):
            frame = _frame(codes)
            frame.pts, frame.time_base = number, Fraction(1)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def pq(cd_m2: NDArray[np.float64]) -> NDArray[np.float64]:
    """SMPTE ST 2084, light to signal."""
    power = np.power(np.maximum(cd_m2, 0) / 10_000, 0.1593017578125)
    signal: NDArray[np.float64] = (
        (0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)
    ) ** 78.84375
    return signal


def hlg(cd_m2: NDArray[np.float64]) -> NDArray[np.float64]:
    """ITU-R BT.2100 HLG on a display of 1000 cd/m²: displayed light to signal, for grays."""
    scene = np.power(np.clip(cd_m2 / 1000, 0, 1), 1 / 1.2)
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)


def _frame(codes: Sequence[NDArray[np.float64]]) -> av.VideoFrame:
    frame = av.VideoFrame(WIDTH_PX, HEIGHT_PX, "yuv420p10le")
    for plane, values in zip(frame.planes, codes, strict=True):
        row = np.repeat(np.round(values).astype("<u2"), -(-plane.width // len(values)))
        padded = np.resize(row[: plane.width], plane.line_size // 2)
        plane.update(np.tile(padded, plane.height).tobytes())
    return frame


def columns(plane: NDArray[np.uint8], count: int) -> list[int]:
    """The value in the middle of each column."""
    height, width = plane.shape[:2]
    return [int(plane[height // 2, (2 * n + 1) * width // (2 * count)]) for n in range(count)]
