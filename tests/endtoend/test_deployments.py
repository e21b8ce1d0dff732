"""What whole runs ask of deployments: protocol, limits, and who gets which request."""

from dataclasses import replace

import pytest

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import Command
from tests.support.job_file import asking, write_job
from tests.support.output import Output, check_provenance
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("provider", ["fireworks", "openai"])
@pytest.mark.parametrize("answers", ["whole", "streamed"])
async def test_whole_and_streamed_answers_tell_the_same(
    provider: str, answers: str, library: Library, command: Command, output: Output
) -> None:
    """Streamed or not, strict or like vLLM: caption, usage and, where it can be known, ttft_s."""
    stream = answers == "streamed"
    options = StandinOptions(
        strict=provider == "fireworks", service_time_s=0.05, time_per_token_s=0.0005
    )
    async with serving(options) as standin:
        request = {"stream": stream, "system": "You see clips."}
        job = write_job(
            command.folder / "job.toml", standin, tables={"request": request}, provider=provider
        )
        ended = await command(
            "run", *library.films[:3], "--job", job, "--store", library.store, "--out", "out"
        )
        assert (ended.exit_code, ended.stderr) == (0, "")
        output.settled_run()
        check_provenance(output.captions, standin)
        assert standin.ledger.by_status == {200: 3}
    for line in output.captions:
        latency, usage = line["latency"], line["usage"]
        assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"] > 100
        assert line["finish_reason"] == "stop"
        if stream or provider == "fireworks":
            assert 0.05 <= latency["ttft_s"] < latency["request_s"]
        else:
            assert latency["ttft_s"] == 0
        parts_s = latency["prepare_s"] + latency["queue_s"] + latency["request_s"]
        assert latency["total_s"] == pytest.approx(parts_s)


async def test_caption_cut_at_max_tokens_says_so(
    library: Library, command: Command, output: Output
) -> None:
    """--max-tokens reaches the server, and a caption that it cut has finish_reason length."""
    async with serving(StandinOptions()) as standin:
        words = (*asking(standin.base_url, command.folder), "--max-tokens", "5")
        await command("run", library.films[0], *words, "--store", library.store, "--out", "out")
    (line,) = output.captions
    assert (line["finish_reason"], line["usage"]["completion_tokens"]) == ("length", 5)


async def test_deployment_that_does_not_hear_gets_no_audio(
    library: Library, command: Command, output: Output
) -> None:
    """A video-only deployment takes every clip, with sound or without, and is sent no audio."""
    async with serving(StandinOptions(modalities=("video",), profile="molmo2")) as standin:
        job = write_job(command.folder / "job.toml", standin, modalities=["video"])
        job.write_text(job.read_text().replace('"video"', '["video"]'))
        ended = await command(
            "run", *library.films[:4], "--job", job, "--store", library.store, "--out", "out"
        )
        assert ended.exit_code == 0
        received = {record.video_sha256 for record in standin.requests}
        assert {record.audio_sha256 for record in standin.requests} == {None}
    captions = output.captions
    assert {line["media"]["video_sha256"] for line in captions} == received
    assert len(received) == 4
    for line in captions:
        media = line["media"]
        assert (media["has_audio"], media["audio_sha256"], media["audio_bytes"]) == (False, "", 0)
        assert media["payload_bytes"] == 4 * -(-media["video_bytes"] // 3)


async def test_two_deployments_share_the_load_within_their_limits(
    library: Library, command: Command, output: Output
) -> None:
    """Each deployment works at its own limit, never above it, and faster ones do more."""
    small = StandinOptions(slots=1, max_queue=0, service_time_s=1.0, watch_media=False)
    large, films = replace(small, slots=4, service_time_s=0.3), library.films
    async with serving(small) as first, serving(large) as second:
        job = write_job(command.folder / "job.toml", first, second, max_in_flight=[1, 4])
        ended = await command("run", *films, "--job", job, "--store", library.store, "--out", "out")
        assert (ended.exit_code, ended.stderr) == (0, "")
        assert first.ledger.max_in_flight == 1
        assert 1 < second.ledger.max_in_flight <= 4
        assert second.ledger.total > first.ledger.total > 0
        check_provenance(output.captions, first, second)
        run = output.settled_run()
        assert run["deployments"] == {"d1": first.ledger.total, "d2": second.ledger.total}
        assert (run["attempts"], run["retries"]) == (len(films), 0)
        assert run["time_share"]["max_in_flight"] <= 5
