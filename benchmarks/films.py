"""Makes the benchmarks' films: a hand-held camera over a textured scene, with grain and sound.

A film is twenty seconds (4K: five), encoded once and repeated by stream copy to a minute, and is
kept in a cache folder outside the tree, under a name that changes with its recipe.
"""

import hashlib
import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from captionfleet.standin.films import sounds

Picture = NDArray[np.uint8]

FPS = 30
RATE_HZ = 48_000
SEED = 7
RECIPE = 1  # raised whenever the pictures or sounds change
ENCODE_DEADLINE_S = 1800.0

X264 = "-c:v libx264 -preset medium -b:v {rate}M -maxrate {peak}M -bufsize {peak}M"
X264_GOP = "-x264-params keyint={gop}:min-keyint={gop}:scenecut=0"


@dataclass(frozen=True, slots=True)
class BenchFilm:
    """One film of the corpus; `encoder` is what ffmpeg is told."""

    name: str
    ending: str
    width_px: int
    height_px: int
    encoder: str
    unique_s: int = 20
    seconds: int = 60


def _h264(name: str, width_px: int, height_px: int, rate: int, gop_s: int) -> BenchFilm:
    encoder = f"{X264} {X264_GOP}".format(rate=rate, peak=2 * rate, gop=gop_s * FPS)
    return BenchFilm(f"{name}-gop{gop_s}", ".mp4", width_px, height_px, encoder)


HEVC = "-c:v libx265 -preset faster -b:v 4M -x265-params keyint=60:min-keyint=60:log-level=none"
VP9 = "-c:v libvpx-vp9 -deadline realtime -cpu-used 6 -row-mt 1 -b:v 5M -g 150"

CORPUS = (
    *(_h264("h264-1080p", 1920, 1080, 6, gop_s) for gop_s in (1, 2, 10)),
    *(_h264("h264-720p", 1280, 720, 3, gop_s) for gop_s in (1, 2, 10)),
    BenchFilm("hevc-1080p-gop2", ".mp4", 1920, 1080, f"{HEVC} -tag:v hvc1"),
    BenchFilm("vp9-1080p-gop5", ".mkv", 1920, 1080, VP9),
)
# As large as the clips of web datasets (WebVid-10M has 596x336).
SMALL = _h264("h264-336p", 596, 336, 1, 1)
QUICK = (_h264("h264-720p", 1280, 720, 3, 1), _h264("h264-720p", 1280, 720, 3, 10))
LARGE = BenchFilm(
    "h264-2160p-gop1",
    ".mp4",
    3840,
    2160,
    f"{X264} {X264_GOP}".format(rate=40, peak=80, gop=FPS).replace("medium", "veryfast"),
    unique_s=5,
)


def cached(film: BenchFilm) -> Path:
    """The film's file, made now if it is not in the cache."""
    mark = hashlib.blake2b(f"{RECIPE} {film}".encode(), digest_size=4).hexdigest()
    path = cache_folder() / f"{film.name}-{mark}{film.ending}"
    if not path.exists():
        print(f"making {path.name} ...", flush=True)
        draft = path.with_name(f"draft-{os.getpid()}-{path.name}")
        _write(film, draft)
        draft.rename(path)
    return path


def cut(film: Path, clip: Path, begin_s: int, seconds: int, *more: str) -> Path:
    """Some seconds of a film from a key frame on, without encoding; `more` goes to ffmpeg."""
    place = ["-ss", str(begin_s), "-i", film, "-t", str(seconds), "-c", "copy", *more]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", *place, clip]
    subprocess.run(command, check=True, timeout=ENCODE_DEADLINE_S)
    return clip


def cache_folder() -> Path:
    """Where films are kept between runs."""
    root = os.environ.get("XDG_CACHE_HOME") or tempfile.gettempdir()
    folder = Path(root) / "captionfleet-benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write(film: BenchFilm, path: Path) -> None:
    scene = path.with_suffix(f".scene{film.ending}")
    sound = path.with_suffix(".wav.raw")
    voice = sounds.samples("speech", film.unique_s * RATE_HZ, RATE_HZ)
    sound.write_bytes((np.repeat(voice, 2) * 32_767).astype("<i2").tobytes())
    size = f"{film.width_px}x{film.height_px}"
    raw = f"-f rawvideo -pix_fmt yuv420p -video_size {size} -framerate {FPS} -i -"
    pcm = f"-f s16le -ar {RATE_HZ} -ac 2 -i {shlex.quote(str(sound))}"
    _ffmpeg(f"{raw} {pcm} {film.encoder} -c:a aac -b:a 128k", scene, _pictures(film))
    repeats = film.seconds // film.unique_s - 1
    _ffmpeg(f"-stream_loop {repeats} -i {shlex.quote(str(scene))} -c copy", path, iter(()))
    scene.unlink()
    sound.unlink()


def _ffmpeg(arguments: str, out: Path, pictures: Iterator[bytes]) -> None:
    exe = imageio_ffmpeg.get_ffmpeg_exe()
    command = [exe, "-v", "error", "-y", *shlex.split(arguments), str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        for picture in pictures:
            process.stdin.write(picture)  # type: ignore[union-attr]
        process.communicate(timeout=ENCODE_DEADLINE_S)
    if process.returncode:
        raise RuntimeError(f"ffmpeg cannot make {out.name}")


def _pictures(film: BenchFilm) -> Iterator[bytes]:
    """Frames as yuv420p: the camera pans, turns and shakes; two things cross the picture."""
    random = np.random.default_rng(SEED)
    size = (film.width_px, film.height_px)
    world = _texture(random, 2 * film.height_px, 2 * film.width_px, roughness=0.6)
    things = [_texture(random, film.height_px // 3, film.height_px // 3, 0.6) for _ in range(2)]
    grain = random.normal(16, 3.0, (size[1] + 64, size[0] + 64)).astype(np.uint8)
    shake = np.cumsum(random.normal(0, 0.0006, (film.unique_s * FPS, 3)), axis=0)
    for number in range(film.unique_s * FPS):
        time_s = number / FPS
        camera = _camera(film, time_s, shake[number])
        view = np.asarray(
            cv2.warpAffine(
                world, camera, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
            ),
            np.uint8,
        )
        for order, thing in enumerate(things):
            _pass_by(view, thing, time_s, order)
        top, left = random.integers(0, 64, 2)
        planes = np.asarray(cv2.cvtColor(view, cv2.COLOR_BGR2YUV_I420), np.uint8)
        planes[: size[1]] += grain[top : top + size[1], left : left + size[0]]
        yield planes.tobytes()


def _texture(random: np.random.Generator, height: int, width: int, roughness: float) -> Picture:
    """A landscape of 1/f noise in colour: smooth areas, and detail at every size."""
    detail = np.zeros((height, width), np.float32)
    for size in (4, 8, 16, 32, 64, 128, 256, 512):
        coarse = random.normal(0, (size / 4) ** -roughness, (size, 2 * size, 1))
        detail += cv2.resize(
            coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
        )
    light = 110 + 45 * detail / np.std(detail)
    tint = cv2.resize(
        random.normal(0, 25, (3, 6, 3)), (width, height), interpolation=cv2.INTER_CUBIC
    )
    return np.clip(light[:, :, None] + tint, 16, 219).astype(np.uint8)


def _camera(film: BenchFilm, time_s: float, shake: NDArray[np.float64]) -> NDArray[np.float64]:
    angle = 0.02 * np.sin(0.5 * time_s) + shake[2]
    zoom = 1.0 + 0.08 * np.sin(0.3 * time_s)
    x = film.width_px * (0.5 + 0.35 * np.sin(0.25 * time_s) + shake[0])
    y = film.height_px * (0.5 + 0.2 * np.sin(0.4 * time_s) + shake[1])
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.hstack([turn, -turn @ [[x], [y]]])


def _pass_by(view: Picture, thing: Picture, s: float, order: int) -> None:
    """Draw something that crosses the picture in a few seconds, faster than the camera moves."""
    side = thing.shape[0]
    height, width = view.shape[:2]
    left = int((s / (5 + 3 * order)) % 1 * (width + 2 * side)) - side
    top = int((height - side) * (0.2 + 0.6 * order + 0.1 * np.sin(2 * s)))
    first, last = max(left, 0), min(left + side, width)
    if first < last:
        view[top : top + side, first:last] = thing[:, first - left : last - left]
