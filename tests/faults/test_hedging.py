"""A second request for a clip whose first one takes long, over real sockets."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from captionfleet.errors import FailureCode
from captionfleet.errors import FailureCode as C
from captionfleet.messages import Caption, ReadyClip
from captionfleet.sender.routing.hedging import LEAST_SEEN
from tests.support.ready import job, ready_clip
from tests.support.replica import Step, answer, caption, raw, scripted, times
from tests.support.sending import QUICK, Sent, sent

pytestmark = pytest.mark.anyio

HANGS = raw(b"", end="hang")
SEEN = LEAST_SEEN


def clips_of(folder: Path, number: int) -> list[ReadyClip]:
    return [ready_clip(folder, f"c{n}", video_bytes=100) for n in range(number)]


def captions_of(run: Sent) -> list[Caption]:
    """The captions, one for each clip and nothing else."""
    assert max(Counter(outcome.clip.clip_id for outcome in run.outcomes).values()) == 1
    captions = [outcome for outcome in run.outcomes if isinstance(outcome, Caption)]
    assert len(captions) == len(run.outcomes)
    return captions


async def test_straggler_at_the_end_is_asked_for_elsewhere(tmp_path: Path) -> None:
    """A request that hangs holds up the end of a run no longer than a second one takes."""
    clips = clips_of(tmp_path, SEEN + 10)
    async with scripted(HANGS) as one, scripted() as other:
        plan = job(one.base_url, other.base_url, request={"hedge_percentile": 95}, max_in_flight=2)
        run = await sent(plan, clips)
        with anyio.fail_after(60):
            while one.in_flight:  # until the server sees that the client has left
                await checkpoint()
        name = one.seen[0].headers["x-request-id"].removesuffix("-1")
    captions = captions_of(run)
    assert len(captions) == len(clips)
    hung = next(found for found in captions if found.clip.clip_id == name)
    lost, won = hung.attempts
    assert (lost.deployment, lost.code, lost.status) == ("d1", None, None)
    assert (won.deployment, won.code, won.status) == ("d2", None, 200)
    assert (hung.hedged, hung.deployment) == (True, "d2")
    assert run.tally.hedges >= run.tally.hedges_won >= 1
    assert run.report[0]["errors"] == {}


async def test_straggler_amid_a_run_is_asked_for_before_the_clips_that_wait(
    tmp_path: Path,
) -> None:
    """Past the percentile a clip does not wait for the end of the run."""
    clips = clips_of(tmp_path, 400)
    steps = [*times(SEEN, caption()), HANGS]
    async with scripted(*steps) as one, scripted() as other:
        plan = job(one.base_url, other.base_url, request={"hedge_percentile": 95}, max_in_flight=2)
        captions = captions_of(await sent(plan, clips))
        hung = one.seen[SEEN].headers["x-request-id"].removesuffix("-1")
    order = [found.clip.clip_id for found in captions]
    assert order.index(hung) < len(clips) - 50


async def test_nothing_is_hedged_unasked(tmp_path: Path) -> None:
    """Without the setting a request that hangs ends by its deadline alone."""
    async with scripted(*times(SEEN, caption()), HANGS) as one, scripted() as other:
        request = {"timeout_s": 3}
        plan = job(one.base_url, other.base_url, request=request, max_in_flight=2)
        run = await sent(plan, clips_of(tmp_path, 3 * SEEN))
    assert run.tally.hedges == 0
    assert not any(found.hedged for found in captions_of(run))
    assert run.report[0]["errors"] == {FailureCode.TIMEOUT.value: 1}


@pytest.mark.parametrize(
    ("first", "second", "told", "hedges", "won"),
    [
        (caption(delay_s=1.5), HANGS, [("d1", None), ("d2", None)], 1, 0),
        (HANGS, caption(), [("d2", None), ("d1", None)], 1, 1),
        (HANGS, answer(500), [("d1", C.SERVER_ERROR), ("d2", C.TIMEOUT), ("d1", None)], 1, 0),
        (answer(500), caption(), [("d2", C.SERVER_ERROR), ("d1", None)], 0, 0),
    ],
    ids=["first wins", "second wins", "both fail", "first fails before"],
)
async def test_first_answer_counts(
    *,
    first: Step,
    second: Step,
    told: list[tuple[str, FailureCode | None]],
    hedges: int,
    won: int,
    tmp_path: Path,
) -> None:
    """Whichever request is answered first makes the only line; what became of others is told."""
    measure = caption(delay_s=0.5)  # from now on, what takes longer is hedged
    async with scripted(measure, second) as one, scripted(first) as other:
        request = {"hedge_percentile": 50, "timeout_s": 3}
        plan = job(one.base_url, other.base_url, request=request, max_in_flight=1)
        run = await sent(plan, clips_of(tmp_path, 2), tuning=replace(QUICK, least_seen=1))
        assert other.max_in_flight == 1
    found = next(caption for caption in captions_of(run) if caption.clip.clip_id == "c1")
    assert [(attempt.deployment, attempt.code) for attempt in found.attempts] == told
    assert found.hedged is bool(hedges)
    assert (run.tally.hedges, run.tally.hedges_won) == (hedges, won)


async def test_one_deployment_is_never_asked_twice_at_once(tmp_path: Path) -> None:
    """Without a second deployment there is nobody to hedge with."""
    async with scripted(HANGS) as one:
        request = {"timeout_s": 1, "hedge_percentile": 50}
        run = await sent(job(one.base_url, request=request), clips_of(tmp_path, SEEN + 10))
    assert run.tally.hedges == 0
    assert len(captions_of(run)) == SEEN + 10
