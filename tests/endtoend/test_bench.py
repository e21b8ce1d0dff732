"""The bench as its users run it: against stand-ins, from flags, with a result file."""

import signal
from collections import Counter
from pathlib import Path

import orjson
import pytest

from captionfleet.standin.faults import parse_fault
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import Command, CommandHere
from tests.support.job_file import write_job
from tests.support.replica import caption, prompt_of, scripted
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio

SHORT = ("--seconds", "0.5", "--requests", "10", "--generate", "2", "--clip-seconds", "2")


def fast(**settings: object) -> StandinOptions:
    """A stand-in that looks at nothing and answers in 100 ms."""
    return StandinOptions(**{"service_time_s": 0.1, "watch_media": False} | settings)


async def test_knee_of_a_deployment(tmp_path: Path, command: Command) -> None:
    """The knee of four slots is found where this machine is not the limit, and told."""
    async with serving(fast(slots=4)) as standin:
        ended = await command("bench", *SHORT, "--base-url", standin.base_url, "--model", "m")
    assert ended.exit_code == 0, ended.stderr
    result = orjson.loads((tmp_path / "bench.json").read_bytes())
    (deployment,) = result["deployments"]
    is_busy = deployment["points"][0]["request_s"]["p50"] > 0.115  # one request that nobody hinders
    is_busy = is_busy or any(point["is_client_limit"] for point in deployment["points"])
    assert deployment["knee"]["in_flight"] in {3, 4, 5} or is_busy, ended.stdout
    assert f"Knee: {deployment['knee']['in_flight']} in flight" in ended.stdout
    assert result["is_complete"]
    assert all(point["errors"] == 0 for point in deployment["points"])


async def test_fixed_loads_of_own_clips(
    tmp_path: Path, cold_command: Command, library: Library
) -> None:
    """Given loads are measured as given, with clips of the user's own, TTFT and upload known."""
    async with serving(fast(slots=2, time_per_token_s=0.001)) as standin:
        ended = await cold_command(
            "bench", *library.films[:3], *SHORT, "--base-url", standin.base_url, "--model", "m",
            "--in-flight", "1", "--in-flight", "4", "--rate", "20", "--out", "here.json",
        )  # fmt: skip
    assert ended.exit_code == 0, ended.stderr
    result = orjson.loads((tmp_path / "here.json").read_bytes())
    one, four, arriving = result["deployments"][0]["points"]
    assert (one["in_flight"], four["in_flight"], arriving["arrivals_per_s"]) == (1, 4, 20.0)
    assert 0 < 2 * one["mean_in_flight"] < four["mean_in_flight"] < 5
    assert 0 < one["ttft_s"]["p50"] < one["request_s"]["p50"]
    assert 0 < one["upload_share"] < 0.9
    assert result["media"]["of_files"] == 3
    assert result["prepare"]["seconds_per_clip"] > 0


async def test_several_requests_take_turns(
    tmp_path: Path, command: Command, library: Library
) -> None:
    """A bench asks each clip what the job asks, and its result and the plan from it say so."""
    tables = {"request": [{"name": name, "prompt": f"{name}?"} for name in ("short", "tags")]}
    async with scripted() as replica:
        replica.default = caption(delay_s=0.02)
        job = write_job(tmp_path / "job.toml", replica.base_url, tables=tables)
        words = ("bench", *library.films[:2], *SHORT, "--job", job, "--in-flight", "2")
        ended = await command(*words)
        seen = Counter(prompt_of(one.json) for one in replica.seen if one.body)
    assert ended.exit_code == 0, ended.stderr
    result = orjson.loads((tmp_path / "bench.json").read_bytes())
    assert result["settings"]["requests"] == ["short", "tags"]
    assert set(seen) == {"short?", "tags?"}
    assert abs(seen["short?"] - seen["tags?"]) <= 2
    plan = await command("plan", library.films[0].parent, "--from", "bench.json")
    assert plan.exit_code == 0, plan.stderr


async def test_errors_are_no_throughput(tmp_path: Path, command: Command) -> None:
    """Refusals are counted by their code, and bring no captions."""
    options = fast(faults=(parse_fault("429:0.5"),), seed=3)
    async with serving(options) as standin:
        ended = await command(
            "bench", *SHORT, "--base-url", standin.base_url, "--model", "m", "--in-flight", "4"
        )
    assert ended.exit_code == 0, ended.stderr
    (point,) = orjson.loads((tmp_path / "bench.json").read_bytes())["deployments"][0]["points"]
    assert point["errors_by_code"]["overloaded"] == point["errors"] > 0
    assert point["captions"] + point["errors"] == point["requests"]


async def test_broken_off(tmp_path: Path, command: Command) -> None:
    """What was measured before Ctrl-C is kept, and is said to be incomplete."""
    out = tmp_path / "bench.json"
    async with serving(fast(slots=64)) as standin:
        arguments = ("bench", *SHORT, "--base-url", standin.base_url, "--model", "m")
        # Loads for a minute: a machine that is busy elsewhere must not see the bench end by itself.
        loads = [word for load in range(1, 61) for word in ("--in-flight", str(load))]
        async with command.started(*arguments, *loads) as running:
            await running.until(out.exists)
            running.signal_group(signal.SIGINT)
            ended = await running.ended()
    assert ended.exit_code == 130
    assert "Interrupted" in ended.stdout
    result = orjson.loads(out.read_bytes())
    assert result["deployments"][0]["points"]
    assert not result["is_complete"]


async def test_a_deployment_that_fails_always(tmp_path: Path, command: Command) -> None:
    """Where no request brings a caption there is no knee but the errors, and exit code 4."""
    options = fast(faults=(parse_fault("500"),))
    async with serving(options) as standin:
        arguments = ("bench", *SHORT, "--base-url", standin.base_url, "--model", "m")
        loads = [word for load in (16, 17, 18, 19) for word in ("--in-flight", str(load))]
        ended = await command(*arguments, *loads)
    assert ended.exit_code == 4, ended.stderr
    assert "server_error. Given up" in ended.stdout
    points = orjson.loads((tmp_path / "bench.json").read_bytes())["deployments"][0]["points"]
    assert [point["in_flight"] for point in points] == [16, 17]
    assert all(point["errors"] == point["requests"] > 0 for point in points)


async def test_clips_that_cannot_be_prepared(tmp_path: Path, command: Command) -> None:
    """A sample of which nothing can be sent is one line that says so."""
    film = tmp_path / "film.mp4"
    film.write_bytes(b"none")
    async with serving(fast()) as standin:
        arguments = ("bench", film, *SHORT, "--base-url", standin.base_url, "--model", "m")
        ended = await command(*arguments, "--quiet")
    assert ended.exit_code == 2
    last = "captionfleet: none of the 1 clips to send can be prepared\n"
    assert ended.stderr.endswith(last)
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("", "no deployment: give --base-url and --model"),
        ("--base-url http://127.0.0.1:9/v1", "1 --base-url and 0 --model"),
        ("--base-url http://127.0.0.1:9/v1 --model m --rate 0", "--rate: more than 0"),
        ("--base-url http://127.0.0.1:9/v1 --model m --in-flight 999", "--in-flight: 1 to 256"),
        ("--base-url http://127.0.0.1:9/v1 --model m --slo-s nan", "--slo-s: more than 0"),
        ("--base-url http://127.0.0.1:9/v1 --model m --requests 0", "--requests: 1 or more"),
        ("--base-url http://127.0.0.1:9/v1 --model m --out no/b.json", "--out no/b.json: No such"),
        ("--base-url http://127.0.0.1:9/v1 --model m --out .", "--out .: is a folder"),
        ("nothing.mp4 --base-url http://127.0.0.1:9/v1 --model m", "no connection"),
    ],
)
def test_bad_arguments(arguments: str, complaint: str, here: CommandHere) -> None:
    """A wrong flag, or a deployment that is not there, is one line that says so."""
    ended = here("bench", *arguments.split())
    assert ended.exit_code in {2, 3, 4}
    assert complaint in ended.complaint
