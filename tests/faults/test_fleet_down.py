"""Deployments that are down, come up, fill up or refuse: who waits, who goes elsewhere."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import anyio
import pytest
from aiohttp import web

from captionfleet.errors import ConfigError, DeploymentError, FailureCode
from captionfleet.messages import Caption
from captionfleet.sender.fleet import open_fleet
from captionfleet.sender.routing.retry import Backoff
from captionfleet.telemetry import Tally
from tests.support.ready import job, ready_clip
from tests.support.replica import answer, caption, error_body, raw, scripted, times
from tests.support.sending import QUICK, sent

pytestmark = pytest.mark.anyio

C = FailureCode
LEAST_WAIT_S = 0.04  # between two probes: the first wait of QUICK, less its jitter
SCALING = answer(503, error_body("DEPLOYMENT_SCALING_UP"))


@pytest.fixture
def dead() -> Iterator[socket.socket]:
    """A socket that does not listen; while it is there nobody else can at its port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken


def url(taken: socket.socket) -> str:
    return f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


async def wait_until(condition: object, within_s: float = 60) -> None:
    assert callable(condition)
    with anyio.fail_after(within_s):
        while not condition():  # noqa: ASYNC110 - a counter has no event
            await anyio.sleep(0.005)


async def test_replica_that_resets_mid_body_is_retried_elsewhere(tmp_path: Path) -> None:
    """The second attempt of a clip goes to another deployment if there is one."""
    async with scripted() as bad, scripted() as good:
        bad.default = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", end="reset")
        clips = [ready_clip(tmp_path, f"c{n}") for n in range(10)]
        run = await sent(job(bad.base_url, good.base_url), clips)
    captions = [outcome for outcome in run.outcomes if isinstance(outcome, Caption)]
    assert len(captions) == 10
    assert {caption.deployment for caption in captions} == {"d2"}
    assert max(len(caption.attempts) for caption in captions) == 2


async def test_dead_replica_gets_no_clip_for_long(tmp_path: Path, dead: socket.socket) -> None:
    """A deployment out of reach at the start begins ejected, and costs probes only."""
    async with scripted() as good:
        plan = job(url(dead), good.base_url)
        run = await sent(plan, [ready_clip(tmp_path, f"c{n}") for n in range(30)], check=True)
    assert all(isinstance(outcome, Caption) for outcome in run.outcomes)
    assert run.report[0]["ejections"] == 1
    assert run.report[0]["requests"] <= run.tally.elapsed_s() / LEAST_WAIT_S


async def test_all_down_waits_until_one_is_up(tmp_path: Path, dead: socket.socket) -> None:
    """While all deployments are down the stage waits, says so, and then goes on by itself."""
    tally = Tally()
    clips = [ready_clip(tmp_path, f"c{n}") for n in range(6)]
    captions: list[Caption] = []

    async def run() -> None:
        request = {"max_attempts": 2}
        plan = job(url(dead), request=request, max_in_flight=2)
        result = await sent(plan, clips, tally=tally)
        captions.extend(o for o in result.outcomes if isinstance(o, Caption))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await wait_until(lambda: "d1: no connection" in tally.waiting_for)
            async with scripted(taken=dead):
                await wait_until(lambda: len(captions) == 6)
    assert tally.waiting_for == ""


@pytest.mark.parametrize("status", [429, 503])
async def test_last_clip_outwaits_a_full_deployment(status: int, tmp_path: Path) -> None:
    """A deployment that takes not even the only request is waited for, whatever max_attempts."""
    async with scripted(*times(8, answer(status))) as replica:
        run = await sent(job(replica.base_url, request={"max_attempts": 2}), [ready_clip(tmp_path)])
    assert len(run.caption.attempts) == 9
    assert run.report[0]["errors"] == {"overloaded": 8}


async def test_scaling_up_burns_no_attempt(tmp_path: Path) -> None:
    """A deployment that scales from zero is waited for, even by clips with one attempt."""
    async with scripted(*times(6, SCALING)) as replica:
        plan = job(replica.base_url, request={"max_attempts": 1}, max_in_flight=2)
        run = await sent(plan, [ready_clip(tmp_path, f"c{n}") for n in range(4)])
    assert all(isinstance(outcome, Caption) for outcome in run.outcomes)
    assert run.report[0]["errors"] == {"scaling_up": 6}
    assert replica.seen


async def test_scaling_up_is_probed_by_one_request_at_a_time(tmp_path: Path) -> None:
    """Once it is known to scale up, a deployment gets one request at a time until it is up."""
    in_flight: list[int] = []

    async def step(request: web.Request) -> web.StreamResponse:
        in_flight.append(replica.in_flight)
        return await SCALING(request)

    async with scripted(*times(8, step)) as replica:
        run = await sent(
            job(replica.base_url, max_in_flight=3),
            [ready_clip(tmp_path, f"c{n}") for n in range(6)],
        )
    assert all(isinstance(outcome, Caption) for outcome in run.outcomes)
    assert in_flight[3:] == [1] * 5


async def test_patience_ends(tmp_path: Path) -> None:
    """When no deployment was up for patience_s the run ends with one line and exit code 4."""
    async with scripted() as replica:
        replica.default = SCALING
        with pytest.raises(
            DeploymentError, match=r"no deployment was up for .* d1 scaling up"
        ) as e:
            await sent(job(replica.base_url, request={"patience_s": 0.4}), [ready_clip(tmp_path)])
    assert e.value.exit_code == 4
    assert "\n" not in str(e.value)


async def test_patience_does_not_cut_off_a_probe(tmp_path: Path) -> None:
    """A probe that is being answered when patience ends is waited for."""
    async with scripted(*times(2, SCALING)) as replica:
        replica.default = caption(delay_s=1.3)
        plan = job(replica.base_url, request={"patience_s": 1.2})
        run = await sent(plan, [ready_clip(tmp_path)])
    assert run.caption.text


async def test_none_within_reach_ends_the_run_at_once(tmp_path: Path, dead: socket.socket) -> None:
    """A check that reaches no deployment ends the run, naming each with its reason and URL."""
    plan = job(url(dead), "http://nowhere.invalid/v1")
    with pytest.raises(DeploymentError) as caught:
        await sent(plan, [ready_clip(tmp_path)], check=True)
    told = str(caught.value)
    assert "d1: no connection: Connection refused" in told
    assert f"({url(dead)})" in told
    assert "d2: host name not found" in told


async def test_refusal_of_the_first_look_ends_nothing(tmp_path: Path) -> None:
    """A deployment whose gateway refuses the list of models for a moment is looked at again."""
    async with scripted() as replica:
        replica.models_script = [401, 401]
        run = await sent(job(replica.base_url), [ready_clip(tmp_path)], check=True)
    assert run.caption.text


async def test_key_that_is_refused_again_and_again_ends_the_run(tmp_path: Path) -> None:
    """A wrong key ends the run before a clip is sent."""
    async with scripted(models_status=401) as replica:
        with pytest.raises(DeploymentError, match="d1: refuses the key") as caught:
            await sent(job(replica.base_url), [ready_clip(tmp_path)], check=True)
        assert {one.method for one in replica.seen} == {"GET"}
        assert len(replica.seen) > 1
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("how", ["silent", "closed"])
async def test_cold_gateway_is_asked_all_the_same(how: str, tmp_path: Path) -> None:
    """A list of models that does not come, or a closed connection, ends no run."""
    tuning = replace(QUICK, check_s=0.2)
    async with scripted() as replica:
        replica.models_default = raw(b"", end="hang" if how == "silent" else "close")
        clips = [ready_clip(tmp_path)]
        run = await sent(job(replica.base_url), clips, check=True, tuning=tuning)
    assert run.caption.text


async def test_what_is_still_to_come_up_need_not_be_within_reach(dead: socket.socket) -> None:
    """A deployment that is yet to be brought up may be out of reach at the start."""
    async with open_fleet(job(url(dead)), Tally(), QUICK) as fleet:
        fleet.hold("d1")
        await fleet.check()
        assert fleet.router.replicas["d1"].is_held


@pytest.mark.parametrize("status", [403, 404, 405, 500, 302])
async def test_missing_list_of_models_is_no_trouble(status: int, tmp_path: Path) -> None:
    """A server without a list of models, or without one for this key, counts as reached."""
    async with scripted(models_status=status) as replica:
        run = await sent(job(replica.base_url), [ready_clip(tmp_path)], check=True)
    assert run.caption.text


async def test_unknown_model_ends_the_run_with_the_forms_to_try(tmp_path: Path) -> None:
    """A model string that all deployments answer with 404 ends the run with the three forms."""
    plan_model = "accounts/fireworks/models/omni#accounts/me/deployments/x1"
    async with scripted() as replica:
        replica.default = answer(404, error_body("NOT_FOUND", "Model not found"))
        plan = job(replica.base_url, model=plan_model, provider="fireworks")
        with pytest.raises(DeploymentError) as caught:
            await sent(plan, [ready_clip(tmp_path, f"c{n}") for n in range(8)])
    told = str(caught.value)
    assert "accounts/me/deployments/x1, " in told
    assert "accounts/fireworks/models/omni#accounts/me/deployments/x1, " in told
    assert told.endswith("accounts/me/models/omni#accounts/me/deployments/x1")


async def test_base_url_without_its_path_is_guessed_at(tmp_path: Path) -> None:
    """Where nobody knows the model and base_url has no path, the usual one is named."""
    async with scripted() as replica:
        replica.default = answer(404)
        with pytest.raises(DeploymentError, match=r"is it …/v1\?"):
            await sent(job(replica.base_url.removesuffix("/v1")), [ready_clip(tmp_path)])


async def test_one_refused_key_leaves_the_work_to_the_others(tmp_path: Path) -> None:
    """A deployment that refuses the key is out for the run, and costs no clip an attempt."""
    async with scripted() as refusing, scripted() as good:
        refusing.default = answer(401, error_body("unauthorized"))
        plan = job(refusing.base_url, good.base_url, request={"max_attempts": 1})
        run = await sent(plan, [ready_clip(tmp_path, f"c{n}") for n in range(30)])
    assert all(isinstance(outcome, Caption) for outcome in run.outcomes)
    assert run.report[0]["requests"] <= 8


async def test_window_is_filled_and_never_exceeded(tmp_path: Path) -> None:
    """Each deployment has as many requests in flight as it may, and never one more."""
    async with scripted() as small, scripted() as large:
        small.default = large.default = caption(delay_s=0.02)
        plan = job(small.base_url, large.base_url, max_in_flight=5, adaptive=False)
        run = await sent(plan, [ready_clip(tmp_path, f"c{n}") for n in range(60)])
        assert (small.max_in_flight, large.max_in_flight) == (5, 5)
    assert run.tally.max_in_flight == 10
    assert run.tally.in_flight_s >= 60 * 0.02


async def test_backing_off_holds_no_slot(tmp_path: Path) -> None:
    """While one clip backs off, the only slot serves another."""
    async with scripted(answer(500, b"", {"Retry-After": "0.5"})) as replica:
        plan = job(replica.base_url, max_in_flight=1)
        run = await sent(plan, [ready_clip(tmp_path, name) for name in ("first", "second")])
    assert [outcome.clip.clip_id for outcome in run.outcomes] == ["second", "first"]
    assert len(run.outcomes[0].attempts) == 1
    failed, answered = run.outcomes[1].attempts
    assert answered.started_s - failed.ended_s >= 0.5


async def test_failing_run_slows_down(tmp_path: Path) -> None:
    """Once the budget of quick retries is spent, a failed clip waits half the cap at least."""
    backoff = Backoff(base_s=0.01, cap_s=2.0, reserve=2, share=0)
    async with scripted(*times(4, answer(500))) as replica:
        plan = job(replica.base_url, max_in_flight=1)
        clips = [ready_clip(tmp_path, f"c{n}") for n in range(4)]
        run = await sent(plan, clips, tuning=replace(QUICK, backoff=backoff))
    waits_s = [
        later.started_s - earlier.ended_s
        for outcome in run.outcomes
        for earlier, later in pairwise(outcome.attempts)
    ]
    assert sorted(wait_s >= 1.0 for wait_s in waits_s) == [False, False, True, True]


async def test_overload_of_all_is_no_storm(tmp_path: Path) -> None:
    """A deployment that refuses everything is asked at the pace of probes, not of clips."""
    async with scripted() as replica:
        replica.default = answer(429)
        plan = job(replica.base_url, request={"patience_s": 1, "max_attempts": 100})
        with pytest.raises(DeploymentError, match="saturated"):
            await sent(plan, [ready_clip(tmp_path, f"c{n}") for n in range(40)])
        assert len(replica.seen) < 40


async def test_hung_replica_costs_a_timeout_and_no_clip(tmp_path: Path) -> None:
    """Clips that a hung deployment swallowed are captioned by the other."""
    async with scripted() as hung, scripted() as good:
        hung.default = raw(b"", end="hang")
        plan = job(hung.base_url, good.base_url, request={"timeout_s": 1.0})
        run = await sent(plan, [ready_clip(tmp_path, f"c{n}") for n in range(12)])
    assert all(isinstance(outcome, Caption) for outcome in run.outcomes)
    assert set(run.report[0]["errors"]) == {C.TIMEOUT.value}


async def test_every_clip_has_one_outcome(tmp_path: Path) -> None:
    """Under all faults at once each clip ends once, and captions answer their own clip."""

    async def echo(request: web.Request) -> web.StreamResponse:
        return await caption(request.headers["x-request-id"].rpartition("-")[0])(request)

    faults = [answer(500), raw(b"", end="reset"), answer(429), SCALING, answer(200, b"<p>")]
    async with scripted(*faults * 4) as one, scripted(*faults * 2) as two:
        one.default = two.default = echo
        plan = job(one.base_url, two.base_url, request={"max_attempts": 20})
        clips = [ready_clip(tmp_path, f"c{n}") for n in range(60)]
        run = await sent(plan, clips)
    captions = [outcome for outcome in run.outcomes if isinstance(outcome, Caption)]
    assert sorted(c.clip.clip_id for c in captions) == sorted(c.clip.clip_id for c in clips)
    assert all(c.text == c.clip.clip_id for c in captions)
    attempts = sum(len(c.attempts) for c in captions)
    assert attempts == sum(entry["requests"] for entry in run.report)
    assert run.tally.retries == attempts - 60


async def test_report_tells_what_each_did(tmp_path: Path) -> None:
    """The report holds requests, captions, errors by code, ejections and the window's history."""
    async with scripted(answer(429), answer(429), answer(500)) as replica:
        run = await sent(job(replica.base_url), [ready_clip(tmp_path, f"c{n}") for n in range(4)])
    (entry,) = run.report
    assert entry["name"] == "d1"
    assert entry["model"] == "m"
    assert (entry["requests"], entry["captions"], entry["ejections"]) == (7, 4, 0)
    assert entry["errors"] == {"overloaded": 2, "server_error": 1}
    assert entry["window"][0] == [0.0, 4]
    assert min(size for _, size in entry["window"]) < 4


async def test_job_without_deployments_is_refused() -> None:
    """Without a deployment there is nothing to send to, which is said before anything else."""
    with pytest.raises(ConfigError, match="--base-url"):
        async with open_fleet(job(), Tally()):
            pass


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_deployment_that_rejects_everything_swallows_no_clip(
    status: int, tmp_path: Path
) -> None:
    """All 53 clips are captioned by the good deployment; the other gets a handful of requests."""
    async with scripted() as refusing, scripted() as good:
        refusing.default = answer(status, error_body("bad", "Invalid model name"))
        good.default = caption(delay_s=0.05)
        plan = job(refusing.base_url, good.base_url, request={"max_attempts": 1})
        run = await sent(plan, [ready_clip(tmp_path, f"c{n}") for n in range(53)])
    captions = [outcome for outcome in run.outcomes if isinstance(outcome, Caption)]
    assert [caption.deployment for caption in captions] == ["d2"] * 53
    assert run.report[0]["requests"] <= 16
    assert run.report[0]["standing"] in {"out", "refusing"}
    assert "Invalid model name" in run.report[0]["reason"]


async def test_two_that_reject_everything_leave_all_to_the_third(tmp_path: Path) -> None:
    """A clip that meets one refusing deployment after the other is captioned by the good one."""
    async with scripted() as one, scripted() as good, scripted() as two:
        one.default = two.default = answer(400, error_body("bad"))
        good.default = caption(delay_s=0.05)
        plan = job(one.base_url, good.base_url, two.base_url)
        run = await sent(plan, [ready_clip(tmp_path, f"c{n}") for n in range(53)])
    captions = [outcome for outcome in run.outcomes if isinstance(outcome, Caption)]
    assert [caption.deployment for caption in captions] == ["d2"] * 53


async def test_only_deployment_that_rejects_everything_ends_the_run(tmp_path: Path) -> None:
    """With nobody else to ask the run ends with exit code 4 after a handful of uploads."""
    async with scripted() as refusing:
        refusing.default = answer(400, error_body("bad", "Invalid model name"))
        with pytest.raises(
            DeploymentError, match=r"d1: refuses every clip .*Invalid model.*--server"
        ) as e:
            await sent(job(refusing.base_url), [ready_clip(tmp_path, f"c{n}") for n in range(53)])
        assert len(refusing.seen) <= 16
    assert e.value.exit_code == 4


async def test_rejected_clips_of_a_working_deployment_fail_alone(tmp_path: Path) -> None:
    """A deployment that captions other clips keeps its place, and each bad clip its code."""

    async def step(request: web.Request) -> web.StreamResponse:
        number = int(request.headers["x-request-id"].rpartition("-")[0][1:])
        return await (answer(400) if number % 3 == 2 else caption())(request)

    async with scripted() as replica:
        replica.default = step
        run = await sent(job(replica.base_url), [ready_clip(tmp_path, f"c{n}") for n in range(30)])
        assert len(replica.seen) == 30
    failed = [outcome for outcome in run.outcomes if not isinstance(outcome, Caption)]
    assert {outcome.code for outcome in failed} == {C.REJECTED}  # type: ignore[union-attr]
    assert len(failed) == 10


@pytest.mark.parametrize("status", [401, 402, 403, 404, 307, 308])
async def test_hiccup_of_refusals_costs_no_clip(status: int, tmp_path: Path) -> None:
    """When all in flight are refused at once in mid-run, all clips are captioned after it."""
    async with scripted(*times(8, caption()), *times(9, answer(status))) as replica:
        plan = job(replica.base_url, request={"max_attempts": 1}, max_in_flight=8)
        clips = [ready_clip(tmp_path, f"c{n}") for n in range(40)]
        # Longer than the hiccup takes on a machine that stands still for seconds.
        patient = replace(QUICK, replicas=replace(QUICK.replicas, known_s=60.0))
        run = await sent(plan, clips, tuning=patient)
    assert all(isinstance(outcome, Caption) for outcome in run.outcomes)
