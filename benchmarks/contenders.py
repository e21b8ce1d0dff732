"""What prepares a film in the benchmark of the media step, each in a process of its own.

`ffmpeg` is run as people run it. The others are Python: `python -m benchmarks.contenders NAME FILM
FOLDER` prepares the film, and prints the CPU time that took from when another was prepared, as a
worker process prepares many clips.
"""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import av
import imageio_ffmpeg

from benchmarks import guide
from captionfleet.standin.films.film import Film, Sound, write_film
from captionfleet.workers.process import ALLOCATOR


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took."""

    cpu_s: float
    peak_rss_bytes: int


def two_commands(film: Path, folder: Path) -> Cost:
    """The guide's two commands, the width mended; the second fails of a film without sound."""
    video = _ffmpeg("-i", film, *guide.VIDEO, folder / "guide.mp4")
    if not _has_sound(film):
        return video
    audio = _ffmpeg("-i", film, *guide.AUDIO, folder / "guide.ogg")
    peak_bytes = max(video.peak_rss_bytes, audio.peak_rss_bytes)
    return Cost(video.cpu_s + audio.cpu_s, peak_bytes)


def one_process(film: Path, folder: Path) -> Cost:
    """The same as one command, everything in one thread."""
    outputs: list[object] = ["-threads", "1", *guide.VIDEO, folder / "one.mp4"]
    if _has_sound(film):
        outputs += ["-threads", "1", *guide.AUDIO, folder / "one.ogg"]
    return _ffmpeg("-filter_threads", "1", "-threads", "1", "-i", film, *outputs)


def _has_sound(film: Path) -> bool:
    with av.open(film) as source:
        return bool(source.streams.audio)


def _ffmpeg(*arguments: object) -> Cost:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y"]
    return _cost([*command, *map(str, arguments)])[0]


def in_python(name: str) -> Callable[[Path, Path], Cost]:
    """A contender that is Python."""

    def run(film: Path, folder: Path) -> Cost:
        command = [sys.executable, "-m", "benchmarks.contenders", name, str(film), str(folder)]
        cost, printed = _cost(command, ALLOCATOR)  # as worker processes have it
        return Cost(json.loads(printed)["cpu_s"], cost.peak_rss_bytes)

    return run


def _cost(command: list[str], variables: Mapping[str, str] | None = None) -> tuple[Cost, bytes]:
    """CPU time of all threads, peak memory, and what was printed."""
    environment = {**os.environ, **(variables or {})}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        printed = process.stdout.read() if process.stdout else b""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}: {' '.join(command)}")
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024), printed


CONTENDERS: dict[str, Callable[[Path, Path], Cost]] = {
    "guide": two_commands,
    "one_ffmpeg": one_process,
    "pyav": in_python("pyav"),
    "exact": in_python("exact"),
    "fast": in_python("fast"),
}


def main(name: str, film: Path, folder: Path) -> None:
    """Prepare a film as one of the Python contenders, and print what that took."""
    from benchmarks import steps  # noqa: PLC0415 - ffmpeg's processes do not need them

    run = steps.STEPS[name]
    if name in CONTENDERS:
        run(_another(folder), folder)
    before_s = _cpu_s()
    told = run(film, folder)
    print(json.dumps({"cpu_s": _cpu_s() - before_s, **told}))


def _another(folder: Path) -> Path:
    return write_film(folder / "another.mp4", Film(seconds=2.0, sounds=(Sound(),)))


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
