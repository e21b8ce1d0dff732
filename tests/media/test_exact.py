"""Sampling by plan gives bit for bit what decoding everything gives, codec by codec."""

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from captionfleet.media.codecs.bitstream import reader_for
from captionfleet.standin.films.film import Film, Look, write_film
from tests.support import oracle
from tests.support.odd_films import MUTE
from tests.support.odd_media import ODD, REFUSED
from tests.support.sampled import Sampled, every_frame, sample

BASE = replace(MUTE, seconds=5.0, fps=Fraction(15), look=Look(grain=6), gop_s=1.0)
AVC = replace(BASE, b_frames=3)


def avc(parameters: str = "", **settings: object) -> Film:
    options = {"x264-params": f"scenecut=0:b-adapt=0:{parameters}", "preset": "faster"}
    return replace(AVC, codec_options=options, **settings)  # type: ignore[arg-type]


def hevc(parameters: str = "", **settings: object) -> Film:
    options = {"x265-params": f"log-level=none:scenecut=0:b-adapt=0:{parameters}"}
    return replace(AVC, codec="libx265", codec_options=options, **settings)  # type: ignore[arg-type]


def other(codec: str, pix_fmt: str = "yuv420p", **settings: object) -> Film:
    return replace(BASE, codec=codec, pix_fmt=pix_fmt, **settings)  # type: ignore[arg-type]


OPEN = "open-gop=1:keyint=15:min-keyint=15"
FILMS: dict[str, tuple[str, Film]] = {
    "h264": (".mp4", avc()),
    "h264_2s": (".mp4", avc(gop_s=2.0)),
    "h264_endless": (".mkv", avc(gop_s=math.inf)),
    "h264_intra": (".mp4", avc("keyint=1")),
    "h264_no_b_frames": (".flv", avc("bframes=0", b_frames=0)),
    "h264_open": (".mp4", avc(OPEN)),
    "h264_open_ts": (".ts", avc(f"{OPEN}:aud=1:nal-hrd=vbr:vbv-maxrate=900:vbv-bufsize=900")),
    "h264_pyramid": (".ts", avc("b-pyramid=normal:bframes=7:ref=5")),
    "h264_pyramid_strict": (".mkv", avc("b-pyramid=strict:bframes=5")),
    "h264_weighted": (".mp4", avc("weightp=2:weightb=1:ref=4")),
    "h264_temporal": (".mp4", avc("direct=temporal:bframes=4")),
    "h264_slices": (".ts", avc("slices=3")),
    "h264_intra_refresh": (".mp4", avc("intra-refresh=1:bframes=0", b_frames=0)),
    "h264_mbaff": (".ts", avc("tff=1:bframes=2", interlaced=True)),
    "h264_10_bit": (".mp4", avc(pix_fmt="yuv420p10le")),
    "h264_422": (".mov", avc(pix_fmt="yuv422p10le")),
    "h264_444": (".mkv", avc(pix_fmt="yuv444p")),
    "h264_23_976": (".mp4", avc(fps=Fraction(24_000, 1001))),
    "h264_vfr": (".mp4", avc(frame_durations_s=(0.02, 0.1, 0.033, 0.5))),
    "h264_avi": (".avi", avc()),
    "hevc": (".mp4", hevc()),
    "hevc_radl": (".mkv", hevc("open-gop=0:radl=2:keyint=15:min-keyint=15")),
    "hevc_rasl": (".ts", hevc(f"{OPEN}:bframes=4")),
    "hevc_layers": (".mp4", hevc("temporal-layers=3:bframes=4")),
    "hevc_10_bit": (".mkv", hevc(pix_fmt="yuv420p10le", gop_s=2.0)),
    "vp8": (".webm", other("libvpx")),
    "vp8_2s": (".mkv", other("libvpx", gop_s=2.0)),
    "vp9": (".webm", other("libvpx-vp9")),
    "vp9_444": (".mp4", other("libvpx-vp9", "yuv444p", gop_s=2.0)),
    "av1": (".mp4", other("libsvtav1", seconds=4.0)),
    "av1_2s": (".mkv", other("libsvtav1", gop_s=2.0)),
    "mpeg1": (".mpg", other("mpeg1video", b_frames=2, fps=Fraction(25))),
    "mpeg2": (".ts", other("mpeg2video", b_frames=2, gop_s=0.5, fps=Fraction(25))),
    "mpeg2_mkv": (".mkv", other("mpeg2video", b_frames=2, fps=Fraction(25))),
    "mpeg2_interlaced": (".ts", other("mpeg2video", b_frames=2, interlaced=True, fps=Fraction(25))),
    "mpeg4": (".mp4", other("mpeg4", b_frames=2)),
    "mpeg4_avi": (".avi", other("mpeg4", b_frames=2)),
    "mpeg4_no_b_frames": (".mkv", other("mpeg4")),
    "mjpeg": (".avi", other("mjpeg", "yuvj420p")),
    "prores": (".mov", other("prores_ks", "yuv422p10le")),
    "dnxhr": (
        ".mov",
        other("dnxhd", "yuv422p", width_px=256, height_px=128,
              codec_options={"profile": "dnxhr_lb"}),
    ),
    "raw": (".avi", other("rawvideo")),
}  # fmt: skip
# Their packets give no times, or wrong ones, so that the plan is given up at once.
UNPLANNABLE = {"h264_avi"}
# A key frame each second: one frame a second is decoded at most twice as often as it is shown.
WITH_AN_ENTRY_A_SECOND = sorted(
    name for name, (_, film) in FILMS.items()
    if film.gop_s <= 1 and name not in UNPLANNABLE | {"h264_intra_refresh", "h264_vfr", "mpeg4_avi"}
)  # fmt: skip


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Each film is written once."""
    folder = tmp_path_factory.mktemp("films")

    def write(name: str) -> Path:
        ending, film = FILMS[name]
        path = folder / f"{name}{ending}"
        return path if path.exists() else write_film(path, film)

    return write


def slot(time_s: float) -> int:
    return math.floor(time_s + 0.5)


def assert_fast_keeps_its_promises(path: Path, fast: Sampled, exact: Sampled) -> None:
    """As many frames, of the same seconds, in order, none twice more, each as it decodes."""
    assert [slot(time) for time in fast.times_s] == [slot(time) for time in exact.times_s]
    assert fast.times_s == sorted(fast.times_s)
    assert len(set(fast.times_s)) == len(set(exact.times_s))
    decoded = every_frame(path)
    assert fast.hashes == [decoded[time] for time in fast.times_s]


# The scope has pytest take the tests of a film one after the other, so that each is sampled once.
@pytest.fixture(scope="module", params=FILMS)
def film(request: pytest.FixtureRequest, films: Callable[[str], Path]) -> tuple[str, Path, Sampled]:
    """One film after the other: its name, where it is, and what is sampled of it by plan."""
    path = films(request.param)
    return request.param, path, sample(path, "exact")


def test_plan_equals_decoding_everything(film: tuple[str, Path, Sampled]) -> None:
    """Every frame of every slot, and its time, is what full decoding and ffmpeg's fps=1 give."""
    name, path, exact = film
    full = sample(path, "full")
    assert exact.frames == full.frames
    assert exact.hashes == [digest for _, digest in oracle.framemd5_fps1(path, autorotate=False)]
    assert exact.replays == (name in UNPLANNABLE)
    assert exact.decoded < exact.packets or name in UNPLANNABLE


def test_fast_gives_other_frames_of_the_same_seconds(film: tuple[str, Path, Sampled]) -> None:
    """Fast takes as many frames from the same seconds, and never decodes more."""
    name, path, exact = film
    fast = sample(path, "fast")
    assert_fast_keeps_its_promises(path, fast, exact)
    assert fast.decoded <= exact.decoded
    if name in WITH_AN_ENTRY_A_SECOND:
        assert fast.decoded <= 2 * len(fast.times_s) + 2


@pytest.mark.parametrize("name", sorted(ODD.keys() - REFUSED - {"audio_only"}))
def test_odd_media_is_sampled_alike_with_and_without_plan(
    odd_file: Callable[[str], Path], name: str
) -> None:
    """Whatever is odd about a file, damage included, a plan changes neither frames nor errors."""
    path = odd_file(name)
    full, exact = sample(path, "full"), sample(path, "exact")
    assert exact.frames == full.frames
    assert exact.undecodable == full.undecodable
    fast = sample(path, "fast")
    assert [slot(time) for time in fast.times_s] == [slot(time) for time in full.times_s]


@pytest.mark.parametrize(
    "name",
    ["h264_open", "h264_open_ts", "h264_pyramid", "hevc_rasl", "hevc_radl", "mpeg2", "vp9"],
)
def test_a_film_cut_out_of_a_longer_one(
    films: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    """Packets in front that refer to what was cut away cost neither exactness nor the plan."""
    whole = films(name)
    path = tmp_path / whole.name
    if whole.suffix == ".ts":
        data = whole.read_bytes()
        path.write_bytes(data[: 2 * 188] + data[len(data) // 5 // 188 * 188 :])
    else:
        oracle.ffmpeg("-ss", "1.3", "-i", whole, "-c", "copy", path)
    full, exact = sample(path, "full"), sample(path, "exact")
    assert exact.frames == full.frames
    assert len(exact.frames) >= 3
    assert exact.decoded <= 1.1 * exact.packets


@pytest.mark.parametrize("ending", [".ts", ".mkv"])
def test_a_film_joined_of_two(films: Callable[[str], Path], tmp_path: Path, ending: str) -> None:
    """Where another encoder's settings take over midway, nothing of them is lost."""
    parts = [films("h264_slices"), films("h264_pyramid")]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    if ending != ".ts":
        path = shutil.move(path, tmp_path / f"joined{ending}")
    full, exact = sample(path, "full"), sample(path, "exact")
    assert exact.frames == full.frames
    assert len(exact.frames) == 10


@pytest.mark.parametrize("at", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_plan_that_breaks_is_taken_up_where_it_was_certain(
    films: Callable[[str], Path], tmp_path: Path, at: float
) -> None:
    """After damage all is decoded, but only from the last entry before the frames sent."""
    path = Path(shutil.copy(films("h264"), tmp_path))
    data = bytearray(path.read_bytes())
    begin, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    hit = begin + int(at * (end - begin))
    data[hit : hit + 3000] = bytes(3000)
    path.write_bytes(data)
    full, exact = sample(path, "full"), sample(path, "exact")
    assert exact.frames == full.frames
    assert exact.undecodable <= full.undecodable
    assert exact.decoded <= exact.packets + 15


def test_decoders_without_proof_decode_everything() -> None:
    """A codec that has not earned it is not read, and so not planned."""
    assert reader_for("theora", None) is None
    assert reader_for("wmv3", None) is None
