"""What the report counts and chooses: spreads, stages, flags, samples and words."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.ledger.files.reading import number_in
from captionfleet.measures import Histogram
from captionfleet.report.cards import TextBudget, card_id, card_of
from captionfleet.report.choice import Choice, Sample
from captionfleet.report.flags import flags_of, is_flagged
from captionfleet.report.over_time import over_time
from captionfleet.report.stages import stages_of
from tests.support.run_folder import caption_record

junk: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below),
    max_leaves=5,
)


@given(st.lists(st.floats(1e-6, 1e6), min_size=1), st.floats(0.01, 1))
def test_percentiles_are_right_to_half_a_percent(values: list[float], share: float) -> None:
    """A spread's percentile is the measured value of that rank, but for the bucket's width."""
    spread = Histogram()
    for value in values:
        spread.add(value)

    exact = sorted(values)[math.ceil(share * len(values)) - 1]
    assert spread.percentile(share) == pytest.approx(exact, rel=0.0051)
    assert sum(spread.counts(spread.min, spread.max, 7)) == len(values)
    assert (spread.min, spread.max) == (min(values), max(values))


def test_stages_add_up_to_the_total() -> None:
    """Every second of a clip belongs to one stage."""
    latency = {
        "prepare_s": 2.0,
        "decode_s": 1.25,
        "encode_s": 0.5,
        "queue_s": 1.0,
        "upload_s": 0.25,
        "ttft_s": 1.0,
        "request_s": 4.0,
        "total_s": 7.0,
    }

    stages = stages_of({"latency": latency})

    assert list(stages.values()) == [1.25, 0.5, 0.25, 1.0, 0.25, 0.75, 3.0]
    assert sum(value or 0 for value in stages.values()) == latency["total_s"]


def test_a_first_token_that_the_server_told_began_after_the_upload() -> None:
    """The server's own time to the first token does not hold the upload, a measured one does."""
    line = {
        "latency": {"request_s": 4.0, "upload_s": 1.0, "ttft_s": 0.5},
        "server": {"server-time-to-first-token": 0.5},
    }

    assert (stages_of(line)["first token"], stages_of(line)["rest"]) == (0.5, 2.5)


def test_what_is_not_known_is_no_stage() -> None:
    """A line of an earlier version has no parts: the wholes stand for them."""
    stages = stages_of({"latency": {"prepare_s": 2.0, "request_s": 3.0, "ttft_s": None}})

    known = {name: value for name, value in stages.items() if value is not None}
    assert known == {"store": 2.0, "rest": 3.0}


def test_flags_come_from_the_line_and_from_its_facts() -> None:
    """Damage, smaller media, retries and silence are told, besides what the line says itself."""
    record = caption_record(flags=["truncated", 7], attempts=2)
    record["media"] |= {"has_audio": False, "height": 240, "damage": {"coverage": 0.9}}

    flags = flags_of(record, {"height": 360})

    assert flags == ["truncated", "damaged", "reduced", "retried", "silent"]
    assert is_flagged(flags)
    assert not is_flagged(["retried", "silent"])
    assert flags_of(caption_record(), {"height": 360}) == []


@given(junk, junk, st.dictionaries(st.sampled_from(["media", "latency", "flags"]), junk))
def test_no_line_is_too_odd_for_a_card(caption: object, clip_id: object, rest: Any) -> None:
    """Whatever a line holds, it has stages, flags and a card."""
    line = {"caption": caption, "clip_id": clip_id} | rest

    card = card_of(line, {}, TextBudget())

    assert isinstance(card["caption"], str)
    assert len(card["stages"]) == 7


@pytest.mark.parametrize("clip_id", ["../../etc", "A" * 32, "0" * 33, "", 'a" onclick="x', None])
def test_only_an_id_becomes_part_of_an_address(clip_id: str | None) -> None:
    """What is no id of ours is left out."""
    assert card_id({"clip_id": clip_id}) == ""


def test_long_captions_are_cut_once_there_are_too_many() -> None:
    """A long caption stays whole as long as there is room, and the card says how long it was."""
    budget = TextBudget(max_chars=10_000)

    lengths = [
        (len(card["caption"]), card["chars"])
        for card in (card_of({"caption": "a" * 9000}, {}, budget) for _ in range(2))
    ]

    assert lengths == [(9000, 9000), (4000, 9000)]


@given(st.integers(0, 400), st.integers(0, 50))
def test_a_sample_is_the_same_in_whatever_order(count: int, most: int) -> None:
    """Which clips are chosen goes by the clips alone, so that two reports show the same."""
    forward, backward = Sample(most), Sample(most)
    for number in range(count):
        forward.add(str(number), number)
        backward.add(str(count - 1 - number), count - 1 - number)

    assert forward.picks() == backward.picks()
    assert len(forward.picks()) == min(count, most)


@pytest.mark.parametrize(
    ("sample", "clips", "shown"), [(None, 1000, 1000), (None, 1001, 300), (5, 1000, 5), (0, 9, 0)]
)
def test_a_small_run_is_shown_whole(sample: int | None, clips: int, shown: int) -> None:
    """All clips of a small run are chosen, of a large one some; or as many as were asked for."""
    choice = Choice(sample)
    for number in range(clips):
        choice.add(str(number), number, is_flagged=False)

    assert len(choice.offsets([])) == shown


def test_what_is_flagged_or_slow_is_always_shown() -> None:
    """The slowest come first, then what is flagged; each once."""
    choice = Choice(0)
    for number in range(100):
        choice.add(str(number), number, is_flagged=number in {5, 7})

    offsets = choice.offsets([7, 90])

    assert offsets[:2] == [7, 90]
    assert sorted(offsets) == [5, 7, 90]


@given(junk, junk)
def test_no_timeline_is_too_odd(bucket_s: object, deployments: object) -> None:
    """Whatever stands in timeline.json gives charts or none, never an error."""
    over_time({"bucket_s": bucket_s, "deployments": deployments})
    over_time({"bucket_s": 1, "deployments": {"a": {"captions": deployments, "window": [1]}}})


def test_a_timeline_shows_the_busiest_and_the_sum() -> None:
    """Twelve deployments have a row of their own, all are in the sum, and the rest is counted."""
    told = {f"d{n:02}": {"captions": [n, None], "errors": [1], "refusals": []} for n in range(20)}

    seen = over_time({"bucket_s": 0.5, "deployments": told})

    assert seen is not None
    assert [row["name"] for row in seen["rows"]] == ["", *(f"d{n:02}" for n in range(19, 7, -1))]
    assert (seen["rows"][0]["captions"], seen["rows"][0]["errors"]) == (190, 20)
    assert (seen["seconds"], seen["left_out"]) == (1.0, 8)


def test_a_rate_is_of_some_captions() -> None:
    """Steps in which hardly a caption came are joined, counts added up and gauges averaged."""
    series = {"captions": [1, 0, 0, 0] * 30, "in_flight": [4, 0, 0, 0] * 30}

    seen = over_time({"bucket_s": 0.25, "deployments": {"a": series}})

    assert seen is not None
    assert (seen["bucket_s"], seen["seconds"]) == (1.0, 30.0)
    assert seen["rows"][0]["captions"] == 30
    assert seen["rows"][0]["tops"]["rate"] == 1
    assert seen["rows"][0]["tops"]["flight"] == 1


@pytest.mark.parametrize("value", [1e300, -1e16, 10**30, math.inf, math.nan, True, "7", None])
def test_what_cannot_be_a_figure_is_none(value: object) -> None:
    """No figure of a line is so large that it would break a table."""
    assert number_in({"key": value}, "key") is None
