"""Every odd file is prepared right, to the eye of OpenCV and the ear of libsndfile."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from captionfleet.errors import FailureCode, MediaError
from captionfleet.messages import Damage, Failure, ReadyClip
from tests.support import oracle
from tests.support.made import Made, make, number
from tests.support.odd_films import HLG, LIMITED, PQ
from tests.support.odd_media import ODD
from tests.support.preparing import clip_of, job_of, prepared

REFUSED = {
    "audio_only": FailureCode.NO_VIDEO_STREAM,
    "moov_missing": FailureCode.CUT_OFF,
    "text_renamed": FailureCode.NOT_VIDEO,
    "ffconcat_renamed": FailureCode.NOT_VIDEO,
    "hls_renamed": FailureCode.NOT_VIDEO,
    "empty_file": FailureCode.EMPTY_FILE,
    "zero_streams": FailureCode.NO_VIDEO_STREAM,
    "zero_tracks_matroska": FailureCode.NO_VIDEO_STREAM,
    "bomb_gif": FailureCode.LIMIT_EXCEEDED,
    "bomb_30000": FailureCode.UNDECODABLE,
}
SHOWN = sorted(ODD.keys() - REFUSED.keys())
MUTE = {
    "no_audio", "audio_empty_track", "audio_empty_track_fragmented", "one_frame", "gif",
    "odd_scaled_width", "odd_scaled_portrait", "vfr_long_gap", "three_hour_gap",
    "h264_elementary_stream", "resolution_change", "two_video_tracks",
}  # fmt: skip
# How many packets are known to be lost, at the least: at the seam of a joined file, too, but not
# where a file was cut off that never said how long it was.
LOST = {
    "bytes_damaged": 18, "bytes_damaged_ts": 1, "bytes_damaged_matroska": 15,
    "truncated_fast_start": 60, "truncated_fragmented": 1, "resolution_change": 1,
}  # fmt: skip
COVERAGE = {"bytes_damaged_ts": 0.8, "truncated_fast_start": 0.6}
# The picture is meant to differ from what the guide's command shows.
REGRADED = {"hdr_pq", "hdr_hlg"}
TOO_SHORT = {"one_frame", "lasts_0_2_s", "lasts_0_4_s"}
TAKEN_PX = (320, 192)
UNSPECIFIED = 0

OddFile = Callable[[str], Path]
Taken = tuple[list[oracle.GrayFrame], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Odd:
    """An odd file, and what was made of it."""

    name: str
    path: Path
    made: Made


# The scope has pytest take the tests of a file one after the other, so that each is made once.
@pytest.fixture(scope="module", params=SHOWN)
def odd(
    request: pytest.FixtureRequest, odd_file: OddFile, tmp_path_factory: pytest.TempPathFactory
) -> Odd:
    """One odd file after the other."""
    path = odd_file(request.param)
    return Odd(request.param, path, make(path, tmp_path_factory.mktemp("made")))


@pytest.fixture(scope="module")
def taken(odd: Odd, tmp_path_factory: pytest.TempPathFactory) -> Taken:
    """What ffmpeg takes of the odd file by the guide's commands."""
    folder, sound = tmp_path_factory.mktemp("taken"), odd.made.facts.has_audio
    return oracle.guide_takes(odd.path, folder, *TAKEN_PX, sound=sound)


def test_a_server_sees_what_the_facts_say(odd: Odd) -> None:
    """OpenCV reads as many frames, of that size and rate, as the facts claim: even, two or more."""
    view, facts = oracle.server_view(odd.made.video), odd.made.facts
    assert view.frame_count == len(view.frames) == facts.frames == len(facts.frame_times_s)
    assert (view.fps, facts.frames % 2, facts.frames >= 2) == (1.0, 0, True)
    assert {frame.shape for frame in view.frames} == {(facts.height, facts.width, 3)}
    assert (facts.height, facts.width % 2) == (360, 0)
    assert min(frame.std() for frame in view.frames) > 10


def test_the_picture_needs_no_explanation(odd: Odd) -> None:
    """What is sent is 8-bit limited-range 4:2:0, square, progressive, and upright by itself."""
    with av.open(odd.made.video) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert context.pix_fmt == "yuv420p"
        assert context.color_range in {UNSPECIFIED, LIMITED}  # the first means the second
        assert context.color_trc not in {PQ, HLG}
        assert (stream.sample_aspect_ratio or 1) == 1
        for frame in container.decode(stream):
            assert not frame.interlaced_frame
            assert {data.type.name for data in frame.side_data} <= {"SEI_UNREGISTERED"}


def test_damage_is_what_was_lost(odd: Odd) -> None:
    """A sound file shows no damage whatever its frame rate; of a damaged one the line tells."""
    facts = odd.made.facts
    expected = LOST.get(odd.name, 0)
    assert facts.damage.packets_lost >= expected
    if not expected:
        assert facts.damage == Damage(padded_frames=facts.padded_frames)
    assert facts.damage.coverage == COVERAGE.get(odd.name, 1.0)


@pytest.mark.parametrize(
    "odd", [name for name in SHOWN if name != "resolution_change"], indirect=True
)
def test_frames_are_those_of_the_guide(odd: Odd, taken: Taken) -> None:
    """Frames are those that ffmpeg's fps=1 takes, upright and as bright; then the last again."""
    made, grays = odd.made, taken[0]
    expected, sent = [number(gray) for gray in grays], made.numbers()
    assert None not in sent
    if odd.name in TOO_SHORT:
        assert len(set(sent)) == 1
        return
    padding = made.facts.frames - len(expected)
    assert sent == expected + expected[-1:] * padding
    assert made.facts.padded_frames == padding + (odd.name == "video_starts_late")
    if odd.name not in REGRADED:
        for gray, seen in zip(grays, made.grays(), strict=False):
            assert seen.mean() == pytest.approx(gray.mean(), abs=4)


def test_sound_is_that_of_the_guide(odd: Odd, taken: Taken) -> None:
    """Another ear hears 16 kHz mono as long as the facts say, and as loud as ffmpeg hears it."""
    made = odd.made
    assert made.facts.has_audio == (made.audio is not None) == (odd.name not in MUTE)
    if made.facts.has_audio:
        sound = made.sound()
        assert len(sound) / 16_000 == pytest.approx(made.facts.audio_s, abs=1e-3)
        loudness = float(np.square(taken[1]).sum())
        assert float(np.square(sound).sum()) == pytest.approx(loudness, rel=0.1, abs=1e-2)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_shown_has_its_code(tmp_path: Path, name: str) -> None:
    """A file without a picture that may be decoded is refused with the code that says why."""
    with pytest.raises(MediaError) as refused:
        make(ODD[name](tmp_path), tmp_path)
    assert refused.value.code == REFUSED[name]


@pytest.fixture
def in_process(odd_file: OddFile, tmp_path: Path) -> list[Odd]:
    """A few odd files, as they come out in the test's own process."""
    names = ("hdr_pq", "bytes_damaged", "audio_5_1", "interlaced_h264")
    return [Odd(name, odd_file(name), make(odd_file(name), tmp_path)) for name in names]


@pytest.mark.anyio
async def test_a_worker_process_makes_the_same(in_process: list[Odd], tmp_path: Path) -> None:
    """Facts, damage and refusals come out of a real worker as they do in process."""
    clips = [clip_of(odd.path, clip_id=odd.name) for odd in in_process]
    refused = ODD["moov_missing"](tmp_path)
    results = await prepared(job_of(tmp_path / "workers"), [*clips, clip_of(refused)])
    for odd in in_process:
        result = results[odd.name]
        assert isinstance(result, ReadyClip)
        assert result.facts.damage == odd.made.facts.damage
        assert result.facts.frame_times_s == odd.made.facts.frame_times_s
    failure = results[refused.name]
    assert isinstance(failure, Failure)
    assert failure.code == FailureCode.CUT_OFF
