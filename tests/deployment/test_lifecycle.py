"""Runs that bring their deployments up and turn them off, whatever becomes of the run."""

import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest
from structlog.testing import capture_logs

from captionfleet import JobConfig, load_job, run_job
from captionfleet.deployment.lifecycle.lifecycle import Lifecycle, open_lifecycle
from captionfleet.deployment.lifecycle.reaping import reap
from captionfleet.deployment.lifecycle.records import Record, Records
from captionfleet.errors import ConfigError, DeploymentError
from captionfleet.sink import RunSummary
from captionfleet.standin.faults import parse_fault
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.plane.record import StandinPlane
from captionfleet.standin.plane.server import serving_plane
from captionfleet.standin.server import serving
from captionfleet.telemetry import Tally
from captionfleet.watch.signals import OnSignal, Signals
from tests.deployment.planes import (
    ACCOUNT,
    DEAD,
    KEY,
    MASK,
    OMNI,
    check_calls,
    plane_options,
    state_of,
    told,
)
from tests.deployment.scripted_plane import SHORT
from tests.support.awaited_film import awaited_film
from tests.support.command import Command
from tests.support.output import Output
from tests.support.tiny_films import Library

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("own_environment")]

RUN_S = 120.0
NEVER_S = 100_000  # 100 s at the pace of these control planes
ELSEWHERE = DEAD.model_copy(update={"host": "gone-with-its-pod"})
SLOW = StandinOptions(api_key=KEY, slots=2, service_time_s=0.2, watch_media=False)


@dataclass(frozen=True, slots=True)
class Nightly:
    """A job with one deployment that it brings up itself."""

    library: Library
    folder: Path
    max_in_flight: int = 2

    @property
    def records(self) -> Path:
        """Where the user's state is."""
        return self.folder / "state/captionfleet/left-on"

    def tables(self, plane: StandinPlane, count: int, **life: Any) -> dict[str, Any]:
        """The job's tables."""
        own = {"account": ACCOUNT, "api_base": plane.api_base, "poll_s": 0.02, "max_replicas": 2}
        if not life.get("min_replicas"):
            own["scale_to_zero_window_s"] = NEVER_S
        return {
            "input": {"sources": [str(film) for film in self.library.films[:count]]},
            "output": {"dir": str(self.folder / "out")},
            "store": {"dir": str(self.library.store)},
            "workers": {"processes": 2},
            "deployments": [{"max_in_flight": self.max_in_flight, "lifecycle": own | life}],
        }

    def write(self, plane: StandinPlane, count: int, **life: Any) -> Path:
        """The job as a file."""
        path = self.folder / "job.toml"
        tables = self.tables(plane, count, **life)
        (deployment,) = tables.pop("deployments")
        lifecycle = deployment.pop("lifecycle")
        lines = [line for name, table in tables.items() for line in _table(f"[{name}]", table)]
        lines += _table("[[deployments]]", deployment)
        lines += _table("[deployments.lifecycle]", lifecycle)
        path.write_text("\n".join(lines) + "\n")
        return path

    async def run(self, plane: StandinPlane, count: int = 2, **life: Any) -> RunSummary:
        """One run in this process."""
        with anyio.fail_after(RUN_S):
            return await run_job(JobConfig.model_validate(self.tables(plane, count, **life)))

    def left(self) -> list[Path]:
        """Records in the user's state folder."""
        return sorted(self.records.glob("*.json"))


def _table(head: str, table: Mapping[str, Any]) -> list[str]:
    return [head, *(f"{key} = {orjson.dumps(value).decode()}" for key, value in table.items())]


@pytest.fixture
def nightly(library: Library, tmp_path: Path) -> Nightly:
    return Nightly(library, tmp_path)


def captioned(plane: StandinPlane) -> int:
    """Requests with media that were answered by a caption."""
    return sum(one.status == 200 and one.video_sha256 is not None for one in plane.requests)


def break_down(plane: StandinPlane, fault: str) -> None:
    """From now on this goes wrong with every call to the control plane."""
    plane.options = replace(plane.options, control_faults=(parse_fault(fault),))


def variables(nightly: Nightly) -> dict[str, str]:
    """What a command needs of the environment."""
    return {"FIREWORKS_API_KEY": KEY, "XDG_STATE_HOME": str(nightly.folder / "state")}


async def test_window_that_never_counts_is_refused() -> None:
    """A job with a minimum of replicas and a time to sleep after means one of the two."""
    life = {"account": ACCOUNT, "min_replicas": 1, "scale_to_zero_window_s": 600}
    job = {"input": {"sources": ["videos"]}, "deployments": [{"lifecycle": life}]}
    with pytest.raises(ConfigError, match="min_replicas = 1 keeps it always up"):
        load_job(None, job | {"output": {"dir": "captions"}})


async def test_whole_life_in_one_command(
    nightly: Nightly, command: Command, output: Output
) -> None:
    """One command creates, waits, captions 20 clips from 0 over 2 to 1 replica, and turns off."""
    # A request wakes two replicas; the 14th of the deployment leaves one of them.
    options = plane_options(autoscale=((1, 2), (14, 1)), replica=SLOW)
    async with serving_plane(options) as plane:
        job = nightly.write(plane, 20)
        ended = await command("run", "--job", job, variables=variables(nightly), within_s=RUN_S)
        assert (ended.exit_code, ended.stderr.count("Traceback")) == (0, 0)
        run = output.settled_run()
        assert run["captioned"] == 20
        assert captioned(plane) == len(output.captions) == 20
        assert state_of(plane) == (0, 0, 0)
        assert told(plane.changes()) == [
            ("POST", "deployments", {"deploymentId": OMNI}),
            ("PATCH", OMNI, {"updateMask": MASK}),
        ]
        check_calls(plane)
        assert plane.asleep >= 1
        policy = plane.account.deployments[OMNI].spec["autoscalingPolicy"]
        assert policy == {"scaleToZeroWindow": f"{NEVER_S}s"}
    (life,) = run["lifecycle"]
    assert (life["created"], life["deployment_id"]) == (True, OMNI)
    assert life["ended"].startswith(f"{OMNI} is off")
    assert {count for _, count in life["replicas"]} >= {2, 1}
    ceilings = [size for _, size in run["fleet"][0]["window"]]
    assert max(ceilings) == 4
    assert ceilings[-1] <= 2
    assert nightly.left() == []
    assert not any(KEY.encode() in path.read_bytes() for path in output.folder.rglob("*.json*"))


async def test_killed_run_is_reaped(nightly: Nightly, command: Command, output: Output) -> None:
    """After kill -9 in the middle, `reap` turns off what was left on, and only that."""
    awaited = awaited_film(nightly.library.films[12], nightly.folder / "videos")
    async with serving_plane(plane_options(replica=SLOW)) as plane:
        job, own = nightly.write(plane, 12), variables(nightly)
        job.write_text(job.read_text().replace("[input]\n", "[input]\nsettle_s = 3600\n"))
        words = "run", *nightly.library.films[:12], awaited.parent, "--job", job
        async with command.started(*words, variables=own) as running:  # which cannot end by itself
            await running.until(lambda: output.line_count() >= 2)
            assert await reap(Records(), ()) == []  # for the run lives
            running.send(signal.SIGKILL)
            await running.process.wait()
        assert state_of(plane)[2] >= 1
        (record,) = nightly.left()
        assert KEY not in record.read_text()
        reaped = await command("deployment", "reap", variables=own)
        assert reaped.exit_code == 0
        assert f"{OMNI} is off" in reaped.stdout
        assert state_of(plane) == (0, 0, 0)
        assert told(plane.changes())[1:] == [("PATCH", OMNI, {"updateMask": MASK})]
        check_calls(plane)
        assert nightly.left() == []
        # The next run brings it up again, and goes on where the killed one stopped.
        rest = await nightly.run(plane, 13)
        assert (rest.exit_code, rest.captioned > 0) == (0, True)
        assert state_of(plane) == (0, 0, 0)
    assert len(output.captions) == 13


async def test_next_run_takes_over(nightly: Nightly) -> None:
    """A run that finds its own deployment left on uses it, and deletes it if that run made it."""
    async with serving_plane(plane_options()) as plane:
        await nightly.run(plane, 1, at_end="keep")
        assert state_of(plane)[:2] == (0, 2)
        await noted(plane, created=True, owner=DEAD)
        await nightly.run(plane, 2, at_end="delete", ignore_checks=True)
        assert plane.account.deployments[OMNI].deleted
        assert told(plane.changes())[1:] == [("DELETE", OMNI, {"ignoreChecks": "true"})]
    assert nightly.left() == []


async def noted(plane: StandinPlane, out: Path | None = None, **fields: Any) -> Record:
    """Put a record on disk; unless told otherwise it is this process's, which lives."""
    own = {"api_base": plane.api_base, "account": ACCOUNT, "deployment_id": OMNI}

    def write() -> Record:
        record = Record(**(own | {"api_key_env": "FIREWORKS_API_KEY"} | fields))
        Records(out).write(record)
        return record

    return await anyio.to_thread.run_sync(write)


async def test_any_next_run_turns_off_what_another_left(nightly: Nightly) -> None:
    """Any run turns off what a dead run of another job left on; what lives is left alone."""
    async with serving_plane(plane_options()) as plane:
        for name in ("dead", "living"):
            body = {
                "baseModel": "accounts/fireworks/models/molmo2-4b",
                "deploymentShape": "s",
                "minReplicaCount": 1,
            }
            plane.account.create({"deploymentId": name}, body, anyio.current_time())
        await noted(plane, deployment_id="dead", owner=DEAD)
        await noted(plane, deployment_id="living")
        await nightly.run(plane, 1)
        assert state_of(plane, "dead") == (0, 0, 0)
        assert state_of(plane, "living") == (1, 1, 1)
    assert len(nightly.left()) == 1


async def test_output_folder_knows_too(nightly: Nightly) -> None:
    """Where the home is lost with its machine, the next run into the same folder finds it."""
    async with serving_plane(plane_options()) as plane:
        body = {"baseModel": "accounts/fireworks/models/molmo2-4b", "deploymentShape": "s"}
        for name in ("there", "here"):
            more = {"deploymentId": name}
            plane.account.create(more, body | {"minReplicaCount": 1}, anyio.current_time())
        out = nightly.folder / "out"
        await noted(plane, out, deployment_id="there", owner=ELSEWHERE)
        for path in nightly.left():
            path.unlink()
        await nightly.run(plane, 1)
        assert state_of(plane, "there") == (0, 0, 0)
        assert not (out / ".left-on").exists()
        # In the state folder, a run on another machine may well be alive.
        await noted(plane, deployment_id="here", owner=ELSEWHERE)
        (left,) = await reap(Records(), ())
        assert left.is_left
        assert "gone-with-its-pod" in left.words
        assert state_of(plane, "here") == (1, 1, 1)
        (forced,) = await reap(Records(), (), elsewhere=True)
        assert not forced.is_left
        assert state_of(plane, "here") == (0, 0, 0)


async def test_signal_turns_it_off(nightly: Nightly, command: Command, output: Output) -> None:
    """A signal in the middle of a run ends it with its code, and the deployment is off."""
    async with serving_plane(plane_options(replica=SLOW)) as plane:
        job = nightly.write(plane, 20)
        async with command.started("run", "--job", job, variables=variables(nightly)) as running:
            await running.until(lambda: output.line_count() >= 1)
            running.send(signal.SIGTERM)
            ended = await running.ended()
        assert (ended.exit_code, "Traceback" in ended.stderr) == (143, False)
        assert state_of(plane) == (0, 0, 0)
        check_calls(plane)
    assert nightly.left() == []


async def test_signal_while_it_comes_up(nightly: Nightly, command: Command) -> None:
    """A signal while the deployment is coming up ends the run, and turns it off again."""
    async with serving_plane(plane_options(time_scale=10)) as plane:
        job = nightly.write(plane, 2, min_replicas=1)
        async with command.started("run", "--job", job, variables=variables(nightly)) as running:
            await running.until(lambda: OMNI in plane.account.deployments)
            running.send(signal.SIGTERM)
            ended = await running.ended()
        assert (ended.exit_code, "Traceback" in ended.stderr) == (143, False)
        assert state_of(plane) == (0, 0, 0)
        assert captioned(plane) == 0
    assert nightly.left() == []


async def test_who_insists_is_obeyed(nightly: Nightly, command: Command) -> None:
    """Signals while a deployment is turned off end that too: exit code 4, and a record stays."""
    async with serving_plane(plane_options(replica=SLOW)) as plane:
        job = nightly.write(plane, 20)
        async with command.started("run", "--job", job, variables=variables(nightly)) as running:
            await running.until(lambda: captioned(plane) >= 2)
            break_down(plane, "hang")
            with anyio.fail_after(RUN_S):
                await running.insist(signal.SIGINT, "a second signal leaves them on")
            running.send(signal.SIGINT)
            ended = await running.ended()
    assert (ended.exit_code, "Traceback" in ended.stderr) == (4, False)
    assert "may still be on" in ended.stderr
    assert len(nightly.left()) == 1


async def test_nothing_to_do_brings_nothing_up(nightly: Nightly) -> None:
    """A night without new clips makes no call that costs."""
    async with serving_plane(plane_options()) as plane:
        await nightly.run(plane, 2)
        before = len(plane.changes())
        summary = await nightly.run(plane, 2)
        assert (summary.captioned, summary.exit_code) == (0, 0)
        assert len(plane.changes()) == before
    assert nightly.left() == []


ENDS: dict[str, tuple[bool, dict[str, Any], list[str], tuple[bool, int]]] = {
    "kept": (False, {"at_end": "keep"}, ["POST"], (False, 2)),
    "deleted, if asked in spite of use": (
        False,
        {"at_end": "delete", "ignore_checks": True},
        ["POST", "DELETE"],
        (True, 2),
    ),
    "off, where deleting is refused": (
        False,
        {"at_end": "delete"},
        ["POST", "DELETE", "PATCH"],
        (False, 0),
    ),
    "off, where somebody else made it": (
        True,
        {"at_end": "delete", "ignore_checks": True},
        ["PATCH", "PATCH"],
        (False, 0),
    ),
}


@pytest.mark.parametrize("name", ENDS)
async def test_end_is_the_one_asked_for(name: str, nightly: Nightly) -> None:
    """A run ends a deployment as the job says, and deletes nothing that it did not make."""
    was_there, life, methods, (is_deleted, most) = ENDS[name]
    async with serving_plane(plane_options(time_scale=0.002)) as plane:
        if was_there:
            body = {
                "baseModel": "accounts/fireworks/models/qwen3-omni-30b-a3b-instruct",
                "deploymentShape": "s",
            }
            plane.account.create({"deploymentId": OMNI}, body, anyio.current_time())
        await nightly.run(plane, 1, **life)
        one = plane.account.deployments[OMNI]
        assert (one.deleted, one.spec["maxReplicaCount"]) == (is_deleted, most)
        assert [call.method for call in plane.changes()] == methods
    assert nightly.left() == []


@pytest.mark.parametrize(
    ("least", "said"),
    [(0, f"{OMNI} sleeps after {NEVER_S}s"), (1, f"{OMNI} never sleeps: $6.00/h")],
)
async def test_run_says_when_what_it_leaves_on_sleeps(
    least: int, said: str, nightly: Nightly, command: Command
) -> None:
    """A run that keeps its deployment ends with a word on when that stops costing money."""
    async with serving_plane(plane_options()) as plane:
        job = nightly.write(plane, 1, at_end="keep", min_replicas=least)
        ended = await command("run", "--job", job, variables=variables(nightly), within_s=RUN_S)
    assert ended.exit_code == 0
    assert said in ended.stderr


async def test_failed_run_turns_it_off(nightly: Nightly) -> None:
    """A run that nothing came of turns off what it brought up, and keeps its own error."""
    refusing = StandinOptions(api_key=KEY, faults=(parse_fault("401+after=1"),))
    async with serving_plane(plane_options(replica=refusing)) as plane:
        with pytest.raises(DeploymentError, match="refuses the key"):
            await nightly.run(plane, 2)
        assert state_of(plane) == (0, 0, 0)
    assert nightly.left() == []


async def test_cancelled_run_turns_it_off(nightly: Nightly) -> None:
    """A program that gives up on a run leaves nothing on."""
    endless = replace(SLOW, time_per_token_s=10)  # but for the word that proves it serves
    async with serving_plane(plane_options(replica=endless)) as plane:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(nightly.run, plane, 20)
            with anyio.fail_after(RUN_S):
                await plane.ledger.until(lambda ledger: ledger.serving == 2)
            tasks.cancel_scope.cancel()
        assert state_of(plane) == (0, 0, 0)
    assert nightly.left() == []


@pytest.fixture
def quick_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = partial(open_lifecycle, waits=SHORT)
    monkeypatch.setattr("captionfleet.run.open_lifecycle", quick)


@pytest.mark.usefixtures("quick_waits")
async def test_what_cannot_be_turned_off_is_said(nightly: Nightly) -> None:
    """A deployment that may be on is exit code 4 and a record, though every clip is captioned."""

    async def break_down_midway() -> None:
        await plane.ledger.until(lambda _: captioned(plane) > 0)
        break_down(plane, "503")

    serving = serving_plane(plane_options(replica=SLOW))
    async with serving as plane, anyio.create_task_group() as tasks:
        tasks.start_soon(break_down_midway)
        with pytest.raises(DeploymentError, match=r"may still be on.*deployment reap") as caught:
            await nightly.run(plane, 4, end_timeout_s=1)
    assert "503" in str(caught.value)
    assert caught.value.exit_code == 4
    assert len(nightly.left()) == 1


@pytest.mark.usefixtures("quick_waits")
async def test_what_is_not_known_yet_is_waited_for(nightly: Nightly) -> None:
    """A deployment that its control plane finds only after a while is used, and turned off."""
    async with serving_plane(plane_options(shows_after_s=500)) as plane:
        summary = await nightly.run(plane, 1)
        assert summary.captioned == 1
        assert state_of(plane) == (0, 0, 0)
    assert nightly.left() == []


@pytest.mark.usefixtures("quick_waits")
async def test_what_is_not_known_yet_is_turned_off(nightly: Nightly) -> None:
    """A run that ends before the control plane finds what it made leaves nothing on either."""
    async with serving_plane(plane_options(shows_after_s=1000)) as plane:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(nightly.run, plane, 1)
            with anyio.fail_after(RUN_S):
                while not plane.account.deployments:  # noqa: ASYNC110 - it has no event
                    await anyio.sleep(0.005)
            tasks.cancel_scope.cancel()
        assert state_of(plane) == (0, 0, 0)
    assert nightly.left() == []


async def test_what_comes_up_later_joins_in(nightly: Nightly) -> None:
    """Beside a deployment that is there, one that is yet to be made gets no request until it is."""
    slow = StandinOptions(slots=1, service_time_s=0.5, watch_media=False)
    async with serving(slow) as there, serving_plane(plane_options(replica=SLOW)) as plane:
        tables = nightly.tables(plane, 12)
        own = {"base_url": there.base_url, "model": "m", "api_key_env": "", "max_in_flight": 1}
        tables["deployments"] = [{"name": "there", **own}, *tables["deployments"]]
        with anyio.fail_after(RUN_S):
            summary = await run_job(JobConfig.model_validate(tables))
        assert summary.captioned == 12
        assert captioned(plane) == 12 - there.ledger.by_status[200] > 0
        assert plane.ledger.by_status[404] == 0
        assert state_of(plane) == (0, 0, 0)


@pytest.mark.usefixtures("quick_waits")
async def test_control_plane_may_be_away_for_a_while(nightly: Nightly) -> None:
    """A control plane that answers 5xx for longer than a call lasts is asked again."""
    away = (parse_fault("503+first=9"),)
    async with serving_plane(plane_options(control_faults=away)) as plane:
        summary = await nightly.run(plane, 1)
        assert summary.captioned == 1
        assert state_of(plane) == (0, 0, 0)
    assert nightly.left() == []


async def test_quota_ends_the_run(nightly: Nightly) -> None:
    """No GPU left is exit code 4 before any clip is sent, and leaves no record."""
    async with serving_plane(plane_options(gpu_quota=1)) as plane:
        with pytest.raises(DeploymentError, match="GPU quota of 1"):
            await nightly.run(plane, 1)
        assert captioned(plane) == 0
    assert nightly.left() == []


async def test_deployment_of_another_model_is_left_alone(nightly: Nightly) -> None:
    """A deployment of this name but of another model is neither used nor turned off."""
    async with serving_plane(plane_options()) as plane:
        body = {"baseModel": "accounts/fireworks/models/molmo2-4b", "deploymentShape": "s"}
        plane.account.create({"deploymentId": OMNI}, body, anyio.current_time())
        with pytest.raises(DeploymentError, match=r"is a deployment of .*molmo2-4b, not of"):
            await nightly.run(plane, 1)
        assert plane.changes() == []
    assert nightly.left() == []


async def test_last_one_out_turns_it_off(nightly: Nightly) -> None:
    """A deployment that another living run uses stays on until that one ends."""
    async with serving_plane(plane_options()) as plane:
        other = await noted(plane)
        await nightly.run(plane, 1)
        assert state_of(plane)[:2] == (0, 2)
        await anyio.to_thread.run_sync(Records().remove, other)
        await nightly.run(plane, 2)
        assert state_of(plane) == (0, 0, 0)


async def test_what_another_machine_may_use_stays_on(nightly: Nightly) -> None:
    """What a run on another machine may use is a warning with its age and end."""
    recorded_at = (datetime.now(UTC) - timedelta(hours=9)).isoformat()
    async with serving_plane(plane_options()) as plane:
        await noted(plane, owner=ELSEWHERE, written_at_utc=recorded_at)
        with capture_logs() as logs:
            summary = await nightly.run(plane, 1)
        assert (summary.exit_code, state_of(plane)[:2]) == (0, (0, 2))
        (warning,) = (one for one in logs if one["event"] == "a deployment stays on")
        assert (warning["log_level"], "host gone-with-its-pod (9 h ago)" in warning["why"]) == (
            "warning",
            True,
        )
        assert warning["note"].endswith("captionfleet deployment reap --elsewhere")
        assert len(nightly.left()) == 2
        assert all(one.is_left for one in await reap(Records(), ()))
        assert state_of(plane)[:2] == (0, 2)
        await reap(Records(), (), elsewhere=True)
        assert state_of(plane) == (0, 0, 0)
    assert nightly.left() == []


async def test_last_one_out_on_another_machine_turns_it_off(nightly: Nightly) -> None:
    """A run that left it on for another machine's has ended, and keeps nothing on itself."""
    async with serving_plane(plane_options()) as plane:
        await noted(plane, owner=ELSEWHERE, is_over=True)
        await nightly.run(plane, 1)
        assert state_of(plane) == (0, 0, 0)


async def test_no_reap_ends_what_lives_here(nightly: Nightly) -> None:
    """Taking other machines' runs for dead turns off nothing that a live run here uses."""
    async with serving_plane(plane_options()) as plane:
        await noted(plane, owner=ELSEWHERE)
        await noted(plane)
        (left,) = await reap(Records(), (), elsewhere=True)
        assert (left.is_left, "is used by" in left.words) == (True, True)
        assert not plane.calls
    assert len(nightly.left()) == 2


async def test_signals_are_the_runs_again_once_it_is_off(
    nightly: Nightly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a life cycle a signal reaches the run's own handler, which ends its last copy."""
    handlers: list[OnSignal] = []

    @asynccontextmanager
    async def watched(job: JobConfig, tally: Tally, signals: Signals) -> AsyncIterator[Lifecycle]:
        handlers.append(signals.on_signal)
        async with open_lifecycle(job, tally, signals) as life:
            yield life
        handlers.append(signals.on_signal)

    monkeypatch.setattr("captionfleet.run.open_lifecycle", watched)
    async with serving_plane(plane_options()) as plane:
        await nightly.run(plane, 1)
        assert state_of(plane) == (0, 0, 0)
    before, after = handlers
    assert before == after


async def test_preempted_replica_costs_no_clip(library: Library, tmp_path: Path) -> None:
    """A replica that is taken away in the middle of its requests costs attempts, and no clip."""
    slow = replace(SLOW, slots=8, service_time_s=0.5)
    options = plane_options(autoscale=((1, 2),), preempt_after=8, replica=slow)
    async with serving_plane(options) as plane:
        nightly = Nightly(library, tmp_path, max_in_flight=8)
        summary = await nightly.run(plane, 12, preemptible=True)
        assert (summary.captioned, summary.failed) == (12, 0)
        assert any(one.client_left for one in plane.requests)
        assert state_of(plane) == (0, 0, 0)
