"""x264's settings against the guide's `preset=fast crf=23`: CPU, bytes and quality, film by film.

Run from the checkout with the test environment: `python -m benchmarks.bench_encoding`. Pictures are
those of the films of the media benchmark, scaled as for every clip; all settings take turns.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from av.video.frame import VideoFrame

from benchmarks.bench_prepare import film_path
from benchmarks.chart_presets import drawn_presets
from benchmarks.films import CORPUS
from benchmarks.quality import Quality, quality_of
from benchmarks.real_clips import CLIPS
from benchmarks.steps import clip_of
from captionfleet.bench.machine import machine_facts
from captionfleet.media.picture.encode import write_mp4
from captionfleet.media.take import take_clip
from captionfleet.messages import MediaSpec

RESULTS = Path(__file__).parent / "results" / "encoding.json"
GUIDE = "fast"
PRESETS = (GUIDE, "one_fps", "faster", "veryfast")
SPEC = MediaSpec()

Row = dict[str, float]


def main() -> int:
    """Measure every film, print its rows, and keep them beside those measured before."""
    asked = _arguments()
    cv2.setNumThreads(1)
    result = json.loads(asked.json.read_bytes()) if asked.json.exists() else {"films": {}}
    result["machine"] = machine_facts()
    for name in asked.films:
        result["films"][name] = _of_film(film_path(name), asked.rounds)
        result["overall"] = {preset: _overall(result["films"], preset) for preset in PRESETS}
        asked.json.write_text(json.dumps(result, indent=1) + "\n")
        for preset, row in result["films"][name].items():
            print(name, preset, row, flush=True)
    asked.json.with_suffix(".svg").write_text(drawn_presets(result["films"]))
    for preset, row in result["overall"].items():
        print("all", preset, row)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [*(one.name for one in CLIPS), *(one.name for one in CORPUS)]
    parser.add_argument("--films", nargs="+", choices=names, default=names, metavar="FILM")
    parser.add_argument("--rounds", type=int, default=3, help="times everything is run, in turn")
    parser.add_argument("--json", type=Path, default=RESULTS)
    return parser.parse_args()


def _of_film(film: Path, rounds: int) -> dict[str, Row]:
    with tempfile.TemporaryDirectory() as name:
        mp4 = Path(name) / "film.mp4"
        pictures = _pictures(film)
        originals = [np.asarray(picture.to_ndarray(), np.uint8) for picture in pictures]
        cpu_s: dict[str, list[float]] = {preset: [] for preset in PRESETS}
        found: dict[str, tuple[int, Quality]] = {}
        for number in range(rounds):
            for preset in PRESETS:
                cpu_s[preset].append(_encode(mp4, pictures, preset))
                if not number:
                    found[preset] = mp4.stat().st_size, quality_of(originals, mp4)
    return {preset: _row(preset, cpu_s, found) for preset in PRESETS}


def _pictures(film: Path) -> list[VideoFrame]:
    pictures, _times_s = take_clip(clip_of(film), SPEC, []).reel.padded()
    return pictures


def _encode(mp4: Path, pictures: list[VideoFrame], preset: str) -> float:
    begun_s = time.process_time()
    write_mp4(mp4, pictures, replace(SPEC, video_preset=preset), SPEC.crf)
    return time.process_time() - begun_s


def _row(preset: str, cpu_s: dict[str, list[float]], found: dict[str, tuple[int, Quality]]) -> Row:
    """What a preset takes and gives, of what the guide's takes and beyond what it gives."""
    size_bytes, seen = found[preset]
    guide_bytes, guide = found[GUIDE]
    shares = [own / other for own, other in zip(cpu_s[preset], cpu_s[GUIDE], strict=True)]
    return {
        "cpu": round(statistics.median(shares), 3),
        "cpu_min": round(min(shares), 3),
        "cpu_max": round(max(shares), 3),
        "bytes": round(size_bytes / guide_bytes, 3),
        "psnr_db": round(seen.psnr_db - guide.psnr_db, 3),
        "ssim": round(seen.ssim - guide.ssim, 5),
        "worst_db": round(seen.worst_db - guide.worst_db, 3),
    }


def _overall(films: dict[str, dict[str, Any]], preset: str) -> Row:
    """Geometric means of CPU and bytes; of the quality, the film that comes off worst."""
    rows = [film[preset] for film in films.values()]
    means = {
        part: round(_geometric_mean(row[part] for row in rows), 3) for part in ("cpu", "bytes")
    }
    return means | {
        f"least_{part}": min(row[part] for row in rows) for part in ("psnr_db", "ssim", "worst_db")
    }


def _geometric_mean(values: Iterable[float]) -> float:
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))


if __name__ == "__main__":
    sys.exit(main())
