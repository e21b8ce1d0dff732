"""The control plane's answers, right, broken and hostile, over real HTTP."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from captionfleet.config import DeploymentConfig
from captionfleet.deployment.lifecycle.following import Replicas, follow
from captionfleet.deployment.lifecycle.managed import Managed
from captionfleet.deployment.lifecycle.records import Records
from captionfleet.deployment.lifecycle.waiting import Patience, show_replicas, until_serving
from captionfleet.deployment.protocol import calls
from captionfleet.deployment.protocol.refusals import (
    AbortedError,
    BadRequestError,
    BlockedError,
    ControlError,
    DeniedError,
    ExistsError,
    MissingError,
    QuotaError,
    RateError,
    UnansweredError,
    UnroutedError,
)
from tests.deployment.planes import DEAD, KEY
from tests.deployment.scripted_plane import SHORT, TARGET, WANTED, asked, grpc, state
from tests.support.replica import Step, answer, caption, raw, scripted, stream, times

pytestmark = pytest.mark.anyio

QUICK = Patience(20, 0.01)


NONSENSE: dict[str, Step] = {
    "no JSON": answer(200, b"<html>sorry</html>"),
    "a list": answer(200, [1]),
    "a deployment without a name": answer(200, {"state": "READY"}),
    "a count that is a word": answer(200, state(minReplicaCount="many")),
    "a negative count": answer(200, state(replicaStats={"readyReplicaCount": -1})),
    "stats that are a list": answer(200, state(replicaStats=[])),
    "a name of a megabyte": answer(200, state(name="x" * 2**20)),
    "a state of another type": answer(200, state(state={"a": KEY})),
    "nesting without end": answer(200, b"[" * 100_000),
    "not HTTP": raw(b"220 smtp ready\r\n\r\n"),
    "broken off": stream([b"{"], end="reset", content_type="application/json"),
}


@pytest.mark.parametrize("name", NONSENSE)
async def test_nonsense_is_one_clear_error(name: str) -> None:
    """Whatever the control plane says, the command ends with one line that holds no key."""
    async with asked(*times(4, NONSENSE[name])) as (plane, server):
        with pytest.raises(ControlError) as caught:
            await plane.get(TARGET)
    line = str(caught.value)
    assert line.startswith("look at deployment omni: ")
    assert len(line) < 400
    assert line.isprintable()
    assert KEY not in line
    assert all(seen.headers["authorization"] == f"Bearer {KEY}" for seen in server.seen)


async def test_key_follows_no_redirect() -> None:
    """A redirect is an error that says what to mend; the key does not go where it leads."""
    async with scripted() as other:
        away = answer(307, b"", {"Location": other.base_url})
        async with asked(away) as (plane, _):
            with pytest.raises(ControlError, match="answers with a redirect"):
                await plane.get(TARGET)
        assert other.seen == []


async def test_answer_has_a_largest_size() -> None:
    """An answer of more than 8 MiB is not read to its end, be it right or not."""
    told = b'{"name": "a", "displayName": "' + b"x" * 9 * 2**20 + b'"}'
    async with asked(stream([told], content_type="application/json")) as (plane, _):
        with pytest.raises(ControlError, match="larger than 8 MiB"):
            await plane.get(TARGET)


async def test_nulls_zeros_and_further_fields_are_fine() -> None:
    """What proto JSON leaves out or sets to null is zero, and new fields are no error."""
    told = state(minReplicaCount=None, replicaStats=None, autoscalingPolicy=None, novelty={"a": 1})
    async with asked(answer(200, told)) as (plane, _):
        found = await plane.get(TARGET)
    assert (found.min_replica_count, found.ready, found.autoscaling_policy) == (0, 0, None)


ERRORS: dict[str, tuple[int, Any, type[ControlError], int]] = {
    "wrong key": (401, grpc(16), DeniedError, 4),
    "no rights": (403, grpc(7), DeniedError, 4),
    "not paid": (402, {"error": "no credits"}, DeniedError, 4),
    "suspended": (412, b"", DeniedError, 4),
    "missing": (404, {"error": grpc(5)}, MissingError, 4),
    "quota": (429, grpc(8, "8 GPUs", "QuotaFailure"), QuotaError, 4),
    "too fast": (429, grpc(8), RateError, 4),
    "wrong argument": (400, grpc(3), BadRequestError, 2),
    "in use": (400, grpc(9), BlockedError, 4),
    "names for codes": (400, {"error": {"code": "FAILED_PRECONDITION"}}, BlockedError, 4),
    "a name for a status": (404, {"error": {"code": 404, "status": "NOT_FOUND"}}, MissingError, 4),
    "another change under way": (409, grpc(10), AbortedError, 4),
    "there already": (409, grpc(6), ExistsError, 4),
    "a page": (404, b"<html>", UnroutedError, 4),
    "a gateway's words": (404, {"message": "no Route matched"}, UnroutedError, 4),
}


@pytest.mark.parametrize("name", ERRORS)
async def test_refusal_is_an_error_with_its_exit_code(name: str) -> None:
    """A refusal is told by status and code, never by its words, and is asked for once only."""
    status, body, kind, exit_code = ERRORS[name]
    async with asked(answer(status, body)) as (plane, server):
        with pytest.raises(ControlError) as caught:
            await plane.client.answer(calls.create(TARGET, WANTED))
    assert type(caught.value) is kind
    assert caught.value.exit_code == exit_code
    assert len(server.seen) == 1


async def test_key_that_is_quoted_is_not_repeated() -> None:
    """The key is in no error, not even where the server quotes it."""
    async with asked(answer(403, grpc(7, f"Bearer {KEY} may not"))) as (plane, _):
        with pytest.raises(DeniedError) as caught:
            await plane.get(TARGET)
    assert "Bearer [key] may not" in str(caught.value)
    assert KEY not in repr(caught.value)


@pytest.mark.parametrize(
    "trouble",
    [answer(503), answer(429, grpc(8)), raw(b"", end="reset")],
    ids=["503", "429", "reset"],
)
async def test_a_look_is_repeated(trouble: Step) -> None:
    """5xx, 429 and broken connections are asked again, a few times, where that changes nothing."""
    async with asked(*times(3, trouble), answer(200, state())) as (plane, server):
        assert (await plane.get(TARGET)).deployment_id == "omni"
    assert len(server.seen) == 4
    async with asked(*times(9, trouble)) as (plane, server):
        with pytest.raises(ControlError):
            await plane.get(TARGET)
    assert len(server.seen) in {4, 8}  # aiohttp asks twice where a connection is reset


async def test_a_create_is_not_repeated_but_looked_for() -> None:
    """Where nobody knows whether a create was done, the deployment is looked for."""
    gone = answer(404, grpc(5))
    async with asked(gone, answer(503), answer(200, state())) as (plane, server):
        made = await plane.create(TARGET, WANTED)
    assert not made.existed
    assert [seen.method for seen in server.seen] == ["GET", "POST", "GET"]
    async with asked(gone, answer(503), gone) as (plane, server):
        with pytest.raises(UnansweredError):
            await plane.create(TARGET, WANTED)


async def test_silence_has_an_end() -> None:
    """A control plane that says nothing is given up in time."""
    waits = replace(SHORT, attempt_s=0.05)
    async with asked(*times(4, raw(b"", end="hang")), waits=waits) as (plane, _):
        with pytest.raises(UnansweredError, match="does not answer"):
            await plane.get(TARGET)


def stats(**counts: int) -> Step:
    """A deployment whose replicas are so far."""
    told = {f"{phase}ReplicaCount": number for phase, number in counts.items()}
    return answer(200, state(state="CREATING", replicaStats=told))


async def test_progress_tells_every_phase() -> None:
    """Waiting shows replicas pending, downloading, initializing and ready, and then proves it."""
    shown = io.StringIO()
    not_yet = answer(503, {"error": {"code": "DEPLOYMENT_SCALING_UP"}})
    script = [
        stats(pendingScheduling=2),
        stats(downloadingModel=2),
        stats(downloadingModel=1, initializing=1),
        stats(initializing=1, ready=1),
        *times(3, not_yet),  # one for each way to name it
        stats(ready=2),
        caption(),
        stats(ready=2),
    ]
    async with asked(*script) as (plane, server), show_replicas(shown) as on_state:
        served = await until_serving(plane, TARGET, QUICK, shown=on_state)
    lines = [line.partition(": ")[2] for line in shown.getvalue().splitlines()]
    assert lines == [
        "2 pending, 0 downloading, 0 initializing, 0 ready",
        "0 pending, 2 downloading, 0 initializing, 0 ready",
        "0 pending, 1 downloading, 1 initializing, 0 ready",
        "0 pending, 0 downloading, 1 initializing, 1 ready",
        "0 pending, 0 downloading, 0 initializing, 2 ready",
    ]
    assert served.model == f"{WANTED.base_model}#{TARGET.name}"
    proof = json.loads(next(seen.body for seen in reversed(server.seen) if seen.method == "POST"))
    assert proof["max_tokens"] == 1


async def test_a_name_that_nobody_answers_to_is_mended() -> None:
    """Where the deployment answers to another model string than the given one, that is told."""
    nobody = answer(404, {"error": {"code": "NOT_FOUND"}})
    script = [stats(ready=1), nobody, nobody, caption()] * 3
    async with asked(*script) as (plane, _):
        with pytest.raises(ControlError, match=f'give model = "{TARGET.name}"'):
            await until_serving(plane, TARGET, QUICK, models=("accounts/wrong",))


async def test_what_was_just_made_may_be_unknown_for_a_while() -> None:
    """Lasting 404s end the wait for a deployment, but for one made so lately that it may appear."""
    gone = answer(404, grpc(5))
    async with asked(gone, gone, stats(ready=1), caption(), stats(ready=1)) as (plane, _):
        fresh = Patience(20, 0.01, appears_s=20)
        assert (await until_serving(plane, TARGET, fresh)).deployment.ready == 1
    gone_for_good = times(3, gone)
    pending = stats(pendingScheduling=1)
    for script, patience in ((gone_for_good, QUICK), ([pending, *gone_for_good], fresh)):
        async with asked(*script) as (plane, _):
            with pytest.raises(MissingError):
                await until_serving(plane, TARGET, patience)


async def test_a_full_deployment_serves() -> None:
    """A ready deployment that others keep saturated is there; one that comes up is not."""
    full = answer(429, {"error": {"code": "RATE_LIMITED"}})
    async with asked(stats(ready=1), full, stats(ready=1)) as (plane, _):
        served = await until_serving(plane, TARGET, QUICK, models=("m",))
    assert served.model == "m"
    waking = answer(200, state(minReplicaCount=0))
    async with asked(waking, full, waking, caption(), waking) as (plane, server):
        await until_serving(plane, TARGET, QUICK, models=("m",))
    assert [seen.method for seen in server.seen] == ["GET", "POST", "GET", "POST", "GET"]


async def test_a_count_that_is_refused_for_a_while_goes_on() -> None:
    """Replicas are counted on after the control plane had enough of being asked."""
    counts: list[int] = []
    script = [*times(4, answer(429, grpc(8))), stats(ready=2)]
    async with asked(*script) as (plane, _), anyio.create_task_group() as tasks:

        def counted(ready: int) -> None:
            counts.append(ready)
            tasks.cancel_scope.cancel()

        tasks.start_soon(follow, plane, TARGET, Replicas(0.0), counted, 0.01)
    assert counts == [2]


async def test_a_count_goes_on_after_single_refusals_and_ends_with_lasting_ones() -> None:
    """One 403 at night leaves no ceiling behind for hours; a key without rights is not asked on."""
    counts: list[int] = []
    refusal = answer(403, grpc(7))
    script = [refusal, stats(ready=1), *times(3, refusal), stats(ready=3), *times(4, refusal)]
    async with asked(*script) as (plane, server):
        await follow(plane, TARGET, Replicas(0.0), counts.append, 0.01)
    assert counts == [1, 3]
    assert len(server.seen) == len(script)


async def test_refused_proof_is_no_reason_to_wait() -> None:
    """A key that the deployment refuses, again and again, ends the wait."""
    async with asked(*[stats(ready=1), answer(401)] * 3) as (plane, server):
        with pytest.raises(DeniedError, match="refuses the key"):
            await until_serving(plane, TARGET, QUICK)
    assert len(server.seen) == 6


@pytest.mark.parametrize("status", [401, 403, 400, 422])
async def test_a_single_refusal_does_not_end_the_wait(status: int) -> None:
    """A gateway that refuses once, before it knows the key or the model, is asked again."""
    up, no = stats(ready=1), answer(status)
    async with asked(up, no, up, no, up, caption(), up) as (plane, _):
        assert (await until_serving(plane, TARGET, QUICK, models=("m",))).model == "m"
    denied = answer(403, grpc(7))
    async with asked(denied, up, caption(), denied) as (plane, _):
        assert (await until_serving(plane, TARGET, QUICK, models=("m",))).deployment.ready == 1


async def test_the_latest_refusal_is_what_a_short_wait_ends_with() -> None:
    """Where there is no time for three looks, the reason is told all the same."""
    async with asked(stats(ready=1), answer(401)) as (plane, _):
        with pytest.raises(DeniedError, match="refuses the key"):
            await until_serving(plane, TARGET, Patience(0.5, 30), models=("m",))


async def test_scale_that_was_not_done_is_an_error() -> None:
    """After a PATCH the deployment is looked at again; what was not done is not taken for done."""
    async with asked(*times(6, answer(200, state()))) as (plane, server):
        with pytest.raises(ControlError, match="still has 1 to 2 replicas"):
            await plane.rescale(TARGET, 0, 0)
    assert [seen.method for seen in server.seen] == ["GET", "PATCH", *["GET"] * 4]


async def test_scale_may_show_only_after_some_seconds() -> None:
    """A control plane whose look right after a PATCH shows the former bounds is looked at again."""
    on, off = answer(200, state()), answer(200, state(minReplicaCount=0, maxReplicaCount=0))
    async with asked(on, on, on, on, off) as (plane, server):
        assert (await plane.rescale(TARGET, 0, 0)).is_off
    assert [seen.method for seen in server.seen] == ["GET", "PATCH", "GET", "GET", "GET"]


async def test_deletion_is_looked_at() -> None:
    """What outlives its deletion is an error; what is gone after some looks is deleted."""
    on, done, gone = answer(200, state()), answer(200, {}), answer(404, grpc(5))
    async with asked(done, on, answer(200, state(state="DELETING"))) as (plane, server):
        assert await plane.delete(TARGET)
    assert [seen.method for seen in server.seen] == ["DELETE", "GET", "GET"]
    async with asked(done, *times(4, on)) as (plane, _):
        with pytest.raises(ControlError, match="it is still there"):
            await plane.delete(TARGET)
    async with asked(gone, gone, on) as (plane, _):  # the first two were a gateway's
        with pytest.raises(ControlError, match="it is still there"):
            await plane.delete(TARGET)
    async with asked(*times(5, gone)) as (plane, server):
        assert not await plane.delete(TARGET)
    assert len(server.seen) == 5


async def test_list_without_end_has_one() -> None:
    """A server that repeats its page token does not keep the command for ever."""
    page = answer(200, {"deployments": [state()], "nextPageToken": "again"})
    async with asked(*times(500, page)) as (plane, server):
        assert len(await plane.list_all("acme")) == 2
    assert len(server.seen) == 2


def test_ignore_checks_only_when_asked() -> None:
    """A delete overrides the service's checks, or is for good, only where it says so."""
    assert calls.delete(TARGET).query == {}
    assert calls.delete(TARGET, ignore_checks=True).query == {"ignoreChecks": "true"}
    assert calls.delete(TARGET, hard=True).query == {"hard": "true"}


REFUSED: dict[str, tuple[list[Step], bool]] = {
    "quota": ([answer(404, grpc(5)), answer(429, grpc(8, "8 GPUs", "QuotaFailure"))], False),
    "no rights": ([answer(404, grpc(5)), answer(403, grpc(7))], False),
    "there, and not to be found": (
        [answer(404, grpc(5)), answer(404, grpc(5)), answer(409, grpc(6)), answer(404, grpc(5))],
        True,
    ),
    "not answered": (
        [answer(404, grpc(5)), answer(404, grpc(5)), answer(500), answer(404, grpc(5))],
        True,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_only_a_certain_refusal_leaves_no_record(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A create that may have been carried out leaves a record; what was there is never deleted."""
    script, is_kept = REFUSED[name]
    script = script if is_kept else [script[0], *script]
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    life = {"account": TARGET.account, "deployment_id": TARGET.deployment_id, "at_end": "delete"}
    deployment = DeploymentConfig.model_validate({"lifecycle": life})
    assert deployment.lifecycle is not None
    one = Managed(deployment, deployment.lifecycle, DEAD)
    records = Records()
    async with asked(*script) as (plane, _):
        with pytest.raises(ControlError):
            await one.switch_on(plane, records)
    kept = await anyio.to_thread.run_sync(records.all)
    assert one.is_recorded is bool(kept) is is_kept
    assert [found.record.created for found in kept] == [name == "not answered"] * is_kept
    assert all(found.record.may_yet_appear for found in kept)
