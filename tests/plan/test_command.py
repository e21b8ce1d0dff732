"""`captionfleet plan` as its users call it: from a run or a benchmark to an answer, or a line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from captionfleet.plan.model.times import parse_within
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import Command, Ended
from tests.support.past_runs import PastRun
from tests.support.tiny_films import write_tiny_films

PlanHere = Callable[..., Ended]

FILMS = 4
POINT = {
    "errors": 0,
    "requests": 200,
    "prompt_tokens": 7000.0,
    "completion_tokens": 200.0,
    "clip_s": 30.0,
}


def point(in_flight: int | None, clips_per_s: float) -> dict[str, Any]:
    """A load of a benchmark."""
    request_s = {"mean": (in_flight or 1) / clips_per_s, "std": 0.3, "p50": 1.0}
    return POINT | {"in_flight": in_flight, "clips_per_s": clips_per_s, "request_s": request_s}


def bench(*points: dict[str, Any]) -> dict[str, Any]:
    """What `captionfleet bench` writes, as far as a plan reads it."""
    return {
        "kind": "captionfleet-bench",
        "version": 1,
        "deployments": [{"name": "d1", "model": "omni", "points": list(points), "knee": None}],
        "prepare": {"seconds_per_clip": 1.5, "clips": 8, "clip_s": 30.0},
        "machine": {},
    }


@pytest.mark.anyio
async def test_plan_from_a_run_of_stand_ins_for_a_folder(tmp_path: Path) -> None:
    """After a run, one command tells what a folder of films would take, for people and programs."""
    write_tiny_films(tmp_path / "films", FILMS)
    (tmp_path / "films" / "no film.mp4").write_bytes(b"no film at all")
    command = Command(tmp_path, is_forked=True)
    async with serving(StandinOptions()) as standin:
        where = ("--base-url", standin.base_url, "--model", "omni")
        await command("run", "films", "--out", "out", *where)
    limits = ("--within", "1h", "--max-cost", "100", "--cold-start-s", "60")
    ended = await command("plan", "films", "--from", "out", *limits, "--json")
    assert (ended.exit_code, ended.stderr) == (0, "")
    printed = json.loads(ended.stdout)
    assert (printed["library"]["clips"], printed["library"]["unusable"]) == (FILMS, 1)
    assert printed["verdict"] == "kept"
    assert printed["plan"]["fleet"] == {"replicas": 1, "cores": 1}
    assert 60 < printed["plan"]["seconds"]["low"] <= printed["plan"]["seconds"]["high"] < 3600
    assert printed["pricing"]["usd_per_gpu_hour"] == 6.0
    assert any("captions" in note for note in printed["notes"])
    shown = await command("plan", "films", "--from", "out", *limits)
    for label in ("replicas", "cores", "time", "GPU-hours", "tokens", "cost", "bottleneck"):
        assert f"\n{label} " in shown.stdout


def test_plan_from_a_benchmark(plan: PlanHere) -> None:
    """Curve, worker time and tokens of a benchmark's JSON make a plan as those of a run do."""
    points = [point(1, 0.5), point(8, 3.0), point(16, 4.0), point(32, 4.1), point(None, 2.0)]
    Path("bench.json").write_text(json.dumps(bench(*points)))
    ended = plan("--from", "bench.json", "--clips", "1200", "--within", "3m", "--json")
    printed = json.loads(ended.stdout)
    assert (ended.exit_code, printed["verdict"]) == (0, "kept")
    assert printed["plan"]["fleet"]["replicas"] == 2
    assert printed["plan"]["seconds"]["expected"] == pytest.approx(1200 / 8.2, rel=0.2)
    assert 10 <= printed["plan"]["fleet"]["cores"] <= 16
    ended = plan("--from", "bench.json", "--clips", "100000", "--replicas", "2", "--json")
    printed = json.loads(ended.stdout)
    assert printed["plan"]["seconds"]["expected"] == pytest.approx(100_000 / 8.2, rel=0.1)
    assert printed["plan"]["prompt_tokens"]["expected"] == pytest.approx(7000 * 100_000)
    simulated = printed["plan"]["simulated_clips"]
    assert simulated < 50_000
    assert any(f"{simulated:,} clips were simulated" in note for note in printed["notes"])


def test_doubts_about_a_benchmark_are_told(plan: PlanHere) -> None:
    """Loads from before a deployment changed do not count, and what else is amiss is said."""
    before, unsteady = point(64, 640.0), point(8, 3.0) | {"is_steady": False}
    none = POINT | {"in_flight": 9, "clips_per_s": 0.0, "request_s": None}
    result = bench(before, point(1, 0.5), unsteady, none) | {"is_complete": False}
    result["deployments"][0]["changed_at"] = 1
    result["deployments"].append({"name": "gone", "model": "m", "points": []})
    Path("bench.json").write_text(json.dumps(result))
    ended = plan("--from", "bench.json", "--clips", "200", "--replicas", "1", "--json")
    printed = json.loads(ended.stdout)
    notes = " ".join(printed["notes"])
    assert "interrupted" in notes
    assert "gone brought no caption" in notes
    assert "d1 brought no caption at the end" in notes
    assert "1 of 2 loads were not steady" in notes
    assert printed["plan"]["clips_per_s"] < 4
    result["deployments"][0]["name"] = "d\x1b[31m1"
    Path("bench.json").write_text(json.dumps(result))
    assert "\x1b" not in plan("--from", "bench.json", "--clips", "200").stdout


def test_cores_that_were_not_measured_are_not_known(plan: PlanHere) -> None:
    """A benchmark that prepared no clip says nothing of cores, and never names them the limit."""
    result = bench(point(1, 0.5), point(8, 3.0)) | {"prepare": None}
    Path("bench.json").write_text(json.dumps(result))
    arguments = ("--from", "bench.json", "--clips", "200", "--replicas", "1")
    printed = json.loads(plan(*arguments, "--json").stdout)
    assert printed["plan"]["bottleneck"]["limit"] == "deployments"
    assert printed["plan"]["bottleneck"]["cores"] is None
    assert "not known" in plan(*arguments).stdout


def test_plan_that_cannot_be_kept_ends_with_1_and_shows_the_nearest(plan: PlanHere) -> None:
    """The exit code tells scripts that no plan keeps the limits; the text tells which one."""
    PastRun(clips=100).write(Path("out"))
    ended = plan("--from", "out", "--hours", "100", "--within", "1h", "--max-replicas", "2")
    assert ended.exit_code == 1
    assert "NOT KEPT" in ended.stdout
    assert "the replicas: 2 caption no more clips in that time" in ended.stdout


def test_torn_and_senseless_lines_are_left_out(plan: PlanHere) -> None:
    """A line that was cut off, is no JSON or holds nonsense costs the plan that line alone."""
    run = PastRun(clips=100)
    lines = run.write(Path("out")).joinpath("captions.jsonl").read_bytes().splitlines(keepends=True)
    first = json.loads(lines[0])
    bad = [
        b"[]\n",
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        *(json.dumps(first | wrong).encode() + b"\n" for wrong in WRONG),
        lines[1][:100],
    ]
    Path("out/captions.jsonl").write_bytes(b"".join(lines + bad))
    printed = json.loads(plan("--from", "out", "--clips", "500", "--json").stdout)
    assert printed["reference"]["clips"] == 100
    assert any(f"{len(bad)} line(s)" in note for note in printed["notes"])


WRONG: list[dict[str, Any]] = [
    {"latency": None},
    {"latency": {"request_s": -1, "prepare_s": 1}},
    {"latency": {"request_s": "1", "prepare_s": 1}},
    {"completed_at_utc": "yesterday"},
    {"completed_at_utc": 7},
    {"end_s": 1e400},
    {"media": {"source_codec": "h264", "source_s": None}},
    {"usage": []},
]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--from", "none", "--clips", "9"), "none: No such file or directory"),
        (("--from", "empty", "--clips", "9"), "is this the output folder of a finished run?"),
        (("--from", "odd", "--clips", "9"), "odd/run.json: this is not the run.json"),
        (("--from", "bare", "--clips", "9"), "the reference holds no caption"),
        (("--from", "text.json", "--clips", "9"), "text.json: not a result of captionfleet bench"),
        (("--from", "other.json", "--clips", "9"), "kind: Input should be 'captionfleet-bench'"),
        (("--from", "idle.json", "--clips", "9"), "no load was sustained"),
        (("--from", "out"), "nothing to plan for"),
        (("--from", "out", "x", "--clips", "9"), "exclude each other: give one"),
        (("--from", "out", "nowhere"), "source nowhere: No such file or directory"),
        (("--from", "out", "empty"), "the sources hold no video"),
        (("--from", "out", "--clips", "0"), "--clips 0"),
        (("--from", "out", "--clips", "9", "--cores", "0"), "--cores 0"),
        (("--from", "out", "--clips", "9", "--max-cost", "nan"), "--max-cost nan"),
        (("--from", "out", "--clips", "9", "--within", "soon"), "--within soon"),
        (("--from", "out", "--clips", "9", "--by", "2020-01-01T06:00"), "that is past"),
        (("--from", "out", "--clips", "9", "--by", "Monday"), "--by Monday"),
        (("--from", "out", "--clips", "9", "--deployment", "d9"), "the reference has d1, d2"),
        (
            ("--from", "out", "--clips", "9", "--replicas", "2", "--max-replicas", "3"),
            "--replicas and --max-replicas: give one of them",
        ),
    ],
)
def test_what_cannot_be_planned_is_one_line(
    plan: PlanHere, arguments: tuple[str, ...], complaint: str
) -> None:
    """Wrong arguments, and references that are none, end with code 2 and one line."""
    PastRun(clips=40).write(Path("out"))
    PastRun(clips=40).write(Path("bare")).joinpath("captions.jsonl").write_bytes(b'{"clip_id"')
    for name in ("empty", "odd"):
        Path(name).mkdir()
    Path("odd/run.json").write_text('{"settings": []}')
    Path("text.json").write_text("no JSON")
    Path("other.json").write_text('{"kind": "other"}')
    Path("idle.json").write_text(json.dumps(bench(point(None, 1.0))))
    ended = plan(*arguments)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert complaint in ended.complaint


@pytest.mark.parametrize(
    ("text", "seconds"), [("48h", 172_800), ("2d", 172_800), ("90min", 5400), ("1h30m", 5400)]
)
def test_lengths_of_time_are_read_as_people_write_them(text: str, seconds: float) -> None:
    """Days, hours and minutes, alone or one after the other, are a length of time."""
    assert parse_within(text) == seconds
