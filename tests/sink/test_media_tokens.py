"""Whether the tokens that deployments report are those of the media that were sent."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from captionfleet.config import JobConfig
from captionfleet.messages import Caption, MediaFacts, Usage
from captionfleet.sink.media_tokens import media_tokens_of
from captionfleet.sink.stats import RunStatistics
from captionfleet.sink.wording import _media_warning
from tests.support.outcomes import FACTS, make_caption, make_failure

OMNI, MOLMO = "Qwen/Qwen3-Omni-30B-A3B-Instruct", "allenai/Molmo2-8B"
LENGTHS_S = (4, 10, 60, 60, 32, 60)
Server = Callable[[MediaFacts], int]


def counted(frames: Callable[[int], int], *, hears: bool = True, text: int = 30) -> Server:
    """The prompt tokens of a Qwen3-Omni that keeps so many frames, at 640x360."""
    return lambda facts: text + frames(facts.frames) * 110 + (round(facts.audio_s * 13) * hears)


def captions(server: Server, lengths_s: Iterable[int] = LENGTHS_S) -> list[Caption]:
    """What a server says of clips of these lengths."""
    every = [replace(FACTS, frames=n, audio_s=float(n)) for n in lengths_s]
    return [
        replace(make_caption(usage=Usage(server(facts))), facts=facts, deployment="d1")
        for facts in every
    ]


def report(outcomes: Iterable[Caption], model: str = OMNI, prompt: str = "What?" * 8) -> Any:
    """What run.json says of the only deployment; None where nothing can be said."""
    job = JobConfig.model_validate(
        {
            "request": {"prompt": prompt},
            "deployments": [{"base_url": "http://h/v1", "model": model, "api_key_env": ""}],
        }
    )
    statistics = RunStatistics(media_tokens_of(job))
    statistics.add(make_failure())
    for outcome in outcomes:
        statistics.add(outcome)
    return statistics.media_tokens().get("d1")


@pytest.mark.parametrize("lengths_s", [LENGTHS_S, (60,) * 5, (2, 2)])
@pytest.mark.parametrize("text_tokens", [12, 30, 90])
def test_media_that_are_seen_and_heard_are_no_remark(
    lengths_s: tuple[int, ...], text_tokens: int
) -> None:
    """Whatever the text costs, whole media come out at their arithmetic."""
    found = report(captions(counted(lambda n: n, text=text_tokens), lengths_s))
    assert (found["profile"], found["clips"], found["remark"]) == (
        "qwen3-omni",
        len(lengths_s),
        None,
    )
    assert found["deviation"] == pytest.approx(0, abs=0.001)


@pytest.mark.parametrize(
    ("server", "lengths_s", "remark"),
    [
        (counted(lambda n: min(n, 32)), (60,) * 5, "as if 5"),
        (counted(lambda n: min(n, 32)), LENGTHS_S, "as if 6"),
        (counted(lambda n: n, hears=False), LENGTHS_S, "as if the sound were not heard"),
        (counted(lambda n: 2 * n), (60,) * 5, "as if there were 2.0 times the frames"),
        (lambda _: 20, LENGTHS_S, "as if no media were seen"),
    ],
)
def test_media_that_are_dropped_are_told(
    server: Server, lengths_s: tuple[int, ...], remark: str
) -> None:
    """Half of the frames, none of the sound or nothing at all: each has its words."""
    found = report(captions(server, lengths_s))
    assert found["remark"].startswith(remark)


def test_no_share_is_below_nothing() -> None:
    """Where the text is estimated at more than all tokens, none of the media were seen: 0%."""
    uneven = counted(lambda n: 0 if n > 4 else 5, hears=False, text=0)
    found = report(captions(uneven), prompt="What?" * 800)
    assert found["told"] < 0
    assert _media_warning(found).startswith("0% of the media tokens")


def test_a_long_prompt_hides_no_dropped_sound() -> None:
    """The tokens of a long text are not taken for those of the sound."""
    prompt = "Describe every single thing. " * 100  # 2,900 bytes, about 600 tokens
    found = report(captions(counted(lambda n: n, hears=False, text=600)), prompt=prompt)
    assert found["remark"] == "as if the sound were not heard"
    assert report(captions(counted(lambda n: n, text=600)), prompt=prompt)["remark"] is None


def test_nothing_is_said_where_nothing_is_known() -> None:
    """Without usage, captions or a known model there is no figure."""
    assert report([]) is None
    assert report(captions(lambda _: 99), model="some/model") is None
    assert report([replace(c, usage=Usage()) for c in captions(lambda _: 1)]) is None


def test_molmo_is_counted_by_the_frame() -> None:
    """Molmo2 pays by the frame whatever its size; with the text of its time."""
    silent = [
        replace(caption, facts=replace(caption.facts, has_audio=False, audio_s=0.0))
        for caption in captions(lambda facts: 30 + 88 * facts.frames)
    ]
    assert report(silent, model=MOLMO)["remark"] is None
    halved = [replace(c, usage=Usage(30 + 88 * c.facts.frames // 2)) for c in silent]
    assert report(halved, model=MOLMO)["remark"] == "as if 50% of the frames were seen"
