"""The independent oracle: another FFmpeg build, OpenCV and libsndfile look at the same file.

The ffmpeg binary is the one imageio-ffmpeg ships; it shares no library with PyAV. OpenCV is what
the servers decode with. Every subprocess and every OpenCV read has a deadline.
"""

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import soundfile
from numpy.typing import NDArray

DEADLINE_S = 120.0
READ_DEADLINE_MS = 10_000

FrameHash = tuple[int, str]
GrayFrame = NDArray[np.uint8]


class OracleError(Exception):
    """ffmpeg gave up; carries what it said."""


def ffmpeg_exe() -> str:
    """The path of the ffmpeg binary."""
    return imageio_ffmpeg.get_ffmpeg_exe()


def ffmpeg(*arguments: str | Path, deadline_s: float = DEADLINE_S) -> bytes:
    """Run ffmpeg and return its standard output.

    Raises:
        OracleError: the exit code is not 0.
        subprocess.TimeoutExpired: it took longer than `deadline_s`.
    """
    command = [ffmpeg_exe(), "-hide_banner", "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, timeout=deadline_s, check=False)
    if done.returncode:
        raise OracleError(done.stderr.decode(errors="replace").strip())
    return done.stdout


def framemd5_fps1(
    path: Path, seconds: float = 60, *, autorotate: bool = True, pix_fmt: str | None = None
) -> list[FrameHash]:
    """The (slot, MD5) of each frame the guide's `-t 60 -vf fps=1` lets through, before scaling.

    The MD5 is that of the raw planes in the source's pixel format (or `pix_fmt`), row by row
    without padding. ffmpeg chooses the stream itself, as the guide's command leaves it to.
    """
    return _framemd5(path, f"-t {seconds} -vf fps=1", autorotate=autorotate, pix_fmt=pix_fmt)


def framemd5_all(path: Path, *, pix_fmt: str | None = None) -> list[FrameHash]:
    """The (PTS, MD5) of every frame as it decodes, none repeated and none dropped.

    The PTS counts in the stream's own time base, from the file's start time.
    """
    options = "-fps_mode passthrough -enc_time_base:v demux"
    return _framemd5(path, options, autorotate=False, pix_fmt=pix_fmt)


def _framemd5(
    path: Path, options: str, *, autorotate: bool, pix_fmt: str | None
) -> list[FrameHash]:
    rotation = [] if autorotate else ["-noautorotate"]
    pixels = ["-pix_fmt", pix_fmt] if pix_fmt else []
    out = ffmpeg(
        *rotation, "-i", path, *options.split(), *pixels, "-an", "-sn", "-dn", "-f", "framemd5", "-"
    )  # fmt: skip
    rows = [line.split(",") for line in out.decode().splitlines() if not line.startswith("#")]
    return [(int(row[2]), row[5].strip()) for row in rows]


def frame_md5(planes: NDArray[np.uint8]) -> str:
    """The MD5 framemd5 gives a frame, of its planes as `VideoFrame.to_ndarray` packs yuv420p."""
    return hashlib.md5(planes.tobytes(), usedforsecurity=False).hexdigest()


def gray_fps1(path: Path, width_px: int, height_px: int, seconds: float = 60) -> list[GrayFrame]:
    """The frames the guide's `fps=1` lets through, as luma scaled to the given size."""
    return _gray(path, f"-t {seconds} -vf fps=1,scale={width_px}:{height_px}", height_px, width_px)


def gray_all(path: Path, width_px: int, height_px: int) -> list[GrayFrame]:
    """Every frame, upright, as luma scaled to the given size."""
    options = f"-fps_mode passthrough -vf scale={width_px}:{height_px}"
    return _gray(path, options, height_px, width_px)


def _gray(path: Path, options: str, *shape: int) -> list[GrayFrame]:
    pixels = ("-an", "-pix_fmt", "gray", "-f", "rawvideo", "-")
    raw = ffmpeg("-i", path, *options.split(), *pixels)
    return list(np.frombuffer(raw, np.uint8).reshape(-1, *shape))


def guide_takes(
    path: Path, folder: Path, width_px: int, height_px: int, *, sound: bool
) -> tuple[list[GrayFrame], NDArray[np.float32]]:
    """What the guide's commands take of a file in one go: luma at 1 fps, and 16 kHz mono samples.

    With `sound`, both tracks are read as the guide's video command, which has no -an, reads them:
    for transport and program streams that decides where zero is.
    """
    video, audio = folder / "taken.gray", folder / "taken.pcm"
    size = f"fps=1,scale={width_px}:{height_px}"
    heard = ("-t", "60", "-vn", "-ac", "1", "-ar", "16000", "-f", "s16le", audio)
    ffmpeg(
        "-i", path, "-t", "60", "-vf", size, "-an", "-pix_fmt", "gray", "-f", "rawvideo", video,
        *(heard if sound else ()),
    )  # fmt: skip
    frames = np.fromfile(video, np.uint8).reshape(-1, height_px, width_px)
    samples = np.fromfile(audio, np.int16) if sound else np.empty(0)
    return list(frames), samples.astype(np.float32) / 32_768


def guide_video(path: Path, out: Path) -> Path:
    """The guide's video command, its width mended to be even (`scale=-2:360`)."""
    ffmpeg(
        "-i", path, "-t", "60", "-vf", "fps=1,scale=-2:360",
        "-c:v", "libx264", "-preset", "fast", "-an", out,
    )  # fmt: skip
    return out


def guide_audio(path: Path, out: Path) -> Path:
    """The guide's audio command; raises `OracleError` where the clip has no audio track."""
    ffmpeg(
        "-i", path, "-t", "60", "-vn",
        "-c:a", "libopus", "-b:a", "24k", "-ar", "16000", "-ac", "1", out,
    )  # fmt: skip
    return out


@dataclass(frozen=True, slots=True)
class ServerView:
    """What a server that decodes with OpenCV makes of a video: its claims, then its frames."""

    frame_count: int
    fps: float
    frames: list[NDArray[np.uint8]]


def server_view(path: Path) -> ServerView:
    """Open and read `path` with OpenCV's FFmpeg; frames are BGR, turned as the metadata says."""
    deadlines = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, READ_DEADLINE_MS,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_DEADLINE_MS,
    ]  # fmt: skip
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, deadlines)
    try:
        frames = []
        while (read := capture.read())[0]:
            frames.append(read[1])
        count, fps = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
        return ServerView(int(count), fps, frames)
    finally:
        capture.release()


def decode_cv2(path: Path) -> list[NDArray[np.uint8]]:
    """Every frame OpenCV reads, (height, width, 3) BGR."""
    return server_view(path).frames


def decode_audio(path: Path) -> tuple[NDArray[np.float32], int]:
    """Mono samples and their rate, by libsndfile (Ogg Opus: the rate its head names)."""
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return samples.mean(axis=1), rate_hz
