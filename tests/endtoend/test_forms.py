"""Deployments that take pictures and no video, or sound in another form, beside those that do."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import orjson
import pytest

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import Command
from tests.support.output import Output

pytestmark = pytest.mark.anyio

FRAMES = StandinOptions(video_as="frames", audio_as="input_audio", strict=False)
VIDEO = StandinOptions(video_as="video_url", audio_as="audio_url")


def toml(**value: Any) -> str:
    """Keys of one table."""
    return "\n".join(f"{name} = {orjson.dumps(one).decode()}" for name, one in value.items())


def job_file(folder: Path, *deployments: dict[str, Any]) -> Path:
    """A job that captions the folder `videos` into `out`."""
    tables = [f"[[deployments]]\n{toml(**one)}" for one in deployments]
    path = folder / "job.toml"
    head = '[input]\nsources = ["videos"]\n[output]\ndir = "out"\nreport = false\n'
    path.write_text(head + "\n".join(tables) + "\n")
    return path


def deployment(name: str, url: str, **more: Any) -> dict[str, Any]:
    """One that takes little at a time, so that all get work."""
    return {"name": name, "base_url": url, "model": "m", "api_key_env": ""} | more


async def test_each_deployment_gets_its_own_form(
    own_films: Callable[[int], Path], tmp_path: Path, cold_command: Command, output: Output
) -> None:
    """One decode serves both forms: each line says, and hashes, what its deployment got."""
    own_films(12)
    async with serving(FRAMES) as pictures, serving(VIDEO) as video:
        job = job_file(
            tmp_path,
            deployment("video", video.base_url, max_in_flight=1),
            deployment(
                "frames",
                pictures.base_url,
                max_in_flight=1,
                video_as="frames",
                audio_as="input_audio",
            ),
        )
        ended = await cold_command("run", "--job", job)
        assert (ended.exit_code, ended.stderr) == (0, "")
        lines = output.captions
        seen = {one.video_sha256: one for s in (pictures, video) for one in s.ledger.records}
    assert len(lines) == 12
    assert {line["deployment"] for line in lines} == {"video", "frames"}
    for line in lines:
        media, record = line["media"], seen[line["media"]["video_sha256"]]
        assert f"video sha256 {media['video_sha256']}" in line["caption"]
        assert f"shows {media['frames']} frames" in line["caption"]
        assert media["video_as"] == ("frames" if line["deployment"] == "frames" else "video_url")
        assert record.audio_as == (None if media["audio_as"] == "none" else media["audio_as"])
        if media["has_audio"]:
            assert f"audio sha256 {media['audio_sha256']}" in line["caption"]
        if media["video_as"] == "frames":
            assert record.pictures == media["frames"] == len(media["frame_bytes"])
            assert media["frames"] == len(media["frame_times_s"])
            assert (media["crf"], media["jpeg_quality"]) == (0, 85)
            assert sum(media["frame_bytes"]) == media["video_bytes"]
    assert (await cold_command("report", "out")).exit_code == 0
    assert "no longer in the store" not in (output.folder / "report.html").read_text()


async def test_the_server_by_name_is_enough(
    own_films: Callable[[int], Path], tmp_path: Path, command: Command, output: Output
) -> None:
    """llama-server gets pictures, and sound if the model hears; spelled out it is the same."""
    own_films(2)
    spelled = {"video_as": "frames", "audio_as": "input_audio"}
    async with serving(FRAMES) as standin:
        one = deployment("d", standin.base_url, model="qwen3-omni")
        ended = await command("run", "--job", job_file(tmp_path, one | {"server": "llama-server"}))
        assert (ended.exit_code, ended.stderr) == (0, "")
        assert all(one.pictures for one in standin.ledger.records)
        assert {one.audio_as for one in standin.ledger.records} - {None} == {"input_audio"}
        assert (await command("run", "--job", job_file(tmp_path, one | spelled))).exit_code == 0
        assert standin.ledger.total == 2
    assert {line["media"]["video_as"] for line in output.captions} == {"frames"}


async def test_captions_stay_current_when_auto_learns(
    own_films: Callable[[int], Path], tmp_path: Path, command: Command, output: Output
) -> None:
    """Qwen-VL was sent sound before it was known to be deaf: what was paid for then counts."""
    own_films(2)
    async with serving(StandinOptions()) as standin:
        one = deployment("d", standin.base_url, model="Qwen/Qwen3-VL-8B-Instruct")
        then = job_file(tmp_path, one | {"modalities": ["video", "audio"]})
        assert (await command("run", "--job", then)).exit_code == 0
        again = await command("run", "--job", job_file(tmp_path, one))
        assert (again.exit_code, again.stderr) == (0, "")
        assert standin.ledger.total == 2  # nothing is paid twice
    assert len(output.captions) == 2


async def test_settings_of_frames_reach_the_server(
    own_films: Callable[[int], Path], tmp_path: Path, command: Command, output: Output
) -> None:
    """Fewer and smaller frames keep their true times, in the line and, if asked for, in words."""
    own_films(3)
    async with serving(FRAMES) as standin:
        frames = {"max_frames": 2, "height": 90, "quality": 60, "times": True}
        one = deployment("d", standin.base_url, video_as="frames", audio_as="none")
        path = job_file(tmp_path, one)
        path.write_text(path.read_text() + f"[deployments.frames]\n{toml(**frames)}\n")
        ended = await command("run", "--job", path)
        assert (ended.exit_code, ended.stderr) == (0, "")
        again = await command("run", "--job", path, "--out", "out")
        assert again.exit_code == 0
        assert standin.ledger.total == 3  # nothing is paid twice
    longest = max(output.captions, key=lambda line: line["media"]["source_s"])
    media = longest["media"]
    assert (media["frames"], media["height"], media["jpeg_quality"]) == (2, 90, 60)
    assert media["frame_times_s"][-1] - media["frame_times_s"][0] == pytest.approx(2.0, abs=0.3)
    assert "x90 pixels" in longest["caption"]
    assert not media["has_audio"]
    (facts,) = orjson.loads((output.folder / "requests.json").read_bytes())["requests"].values()
    assert (facts["video_as"], facts["frames.max_frames"]) == ("frames", 2)


async def test_prepare_shows_the_frames(
    own_films: Callable[[int], Path], tmp_path: Path, command: Command
) -> None:
    """With a job whose deployment takes frames, `prepare` writes what it would be sent."""
    own_films(2)
    one = deployment("d", "http://127.0.0.1:9/v1", video_as="frames", audio_as="input_audio")
    ended = await command("prepare", "videos", "--job", job_file(tmp_path, one), "--out", "seen")
    assert (ended.exit_code, ended.stderr) == (0, "")
    facts = orjson.loads((tmp_path / "seen/clip-01.mp4.json").read_bytes())["media"]
    pack = (tmp_path / "seen/clip-01.mp4.mjpeg").read_bytes()
    first = pack[: facts["frame_bytes"][0]]
    with av.open(io.BytesIO(first), format="mjpeg") as file:
        assert [frame.height for frame in file.decode(video=0)] == [facts["height"]]
    assert (tmp_path / "seen/clip-01.mp4.wav").read_bytes().startswith(b"RIFF")


async def test_bench_counts_what_each_deployment_is_sent(
    own_films: Callable[[int], Path], tmp_path: Path, command: Command
) -> None:
    """The payload of a load is that of its deployment's form, sound only where it hears."""
    for film in sorted(own_films(3).iterdir())[:-1]:
        film.unlink()
    taking = ("--seconds", "0.2", "--requests", "3", "--in-flight", "1")
    async with serving(StandinOptions()) as standin:
        pictures = {"video_as": "frames", "audio_as": "none"}
        both = deployment("video", standin.base_url), deployment("f", standin.base_url, **pictures)
        ended = await command("bench", "--job", job_file(tmp_path, *both), *taking)
        assert ended.exit_code == 0, ended.stderr
    bench = orjson.loads((tmp_path / "bench.json").read_bytes())
    told = [one["points"][0]["payload_bytes"] for one in bench["deployments"]]
    sizes = []
    for one in both:
        out = f"seen-{one['name']}"
        await command("prepare", "videos", "--job", job_file(tmp_path, one), "--out", out)
        facts = orjson.loads(next((tmp_path / out).glob("*.json")).read_bytes())["media"]
        parts = facts["frame_bytes"] or [facts["video_bytes"]]
        parts += [facts["audio_bytes"]] if facts["has_audio"] else []
        sizes.append(sum(-(-part // 3) * 4 for part in parts))
    assert told == sizes
    assert bench["media"]["payload_bytes"] == sum(sizes) / 2
