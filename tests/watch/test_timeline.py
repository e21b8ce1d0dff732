"""The timeline of a run: nothing is lost however long it lasts, and it stays small."""

from hypothesis import given
from hypothesis import strategies as st

from captionfleet.errors import FailureCode
from captionfleet.sender.routing.limits import FixedWindow
from captionfleet.sender.routing.replicas import Change, Replica
from captionfleet.watch.timeline import Reading, Timeline


def test_a_short_run_is_told_in_quarters_of_a_second() -> None:
    """Counts fall into the bucket in which they were seen; gauges are means of the looks."""
    timeline = Timeline(1)
    timeline.add(0.0, {"a": Reading(0, 0, 0, 2, 4)})
    timeline.add(0.1, {"a": Reading(1, 0, 0, 4, 4)})
    timeline.add(0.6, {"a": Reading(3, 2, 1, 4, 8)})

    assert timeline.as_dict() == {
        "bucket_s": 0.25,
        "deployments": {
            "a": {
                "captions": [1, 0, 2],
                "refusals": [0, 0, 2],
                "errors": [0, 0, 1],
                "in_flight": [3.0, None, 4.0],
                "window": [4.0, None, 8.0],
            }
        },
    }


@given(
    st.lists(st.tuples(st.floats(0, 5000), st.integers(0, 9)), min_size=1, max_size=60),
    st.integers(1, 400),
)
def test_counts_add_up_however_long_the_run(
    looks: list[tuple[float, int]], deployments: int
) -> None:
    """Buckets are merged as the run gets longer: bounded in number, the sum is kept."""
    timeline, total = Timeline(deployments), 0
    at_s = 0.0
    for pause_s, captions in looks:
        at_s, total = at_s + pause_s, total + captions
        timeline.add(at_s, {"a": Reading(total, 0, 0, 1, 1)})

    told = timeline.as_dict()

    columns = told["deployments"]["a"]
    assert sum(columns["captions"]) == total
    assert len({len(column) for column in columns.values()}) == 1
    assert len(columns["captions"]) <= max(24, min(240, 15_360 // deployments))
    assert at_s < told["bucket_s"] * len(columns["captions"]) <= at_s + told["bucket_s"]


def test_a_reading_tells_refusals_from_errors() -> None:
    """429 and 503 are told apart from what went wrong; a deployment that is down has no window."""
    replica = Replica("a", FixedWindow(8), in_flight=3, captions=5)
    replica.errors.update(
        {FailureCode.OVERLOADED: 2, FailureCode.SCALING_UP: 1, FailureCode.TIMEOUT: 4}
    )

    assert Reading.of(replica) == Reading(5, 3, 4, 3, 8)
    replica.down = Change.EJECTED
    assert Reading.of(replica).window == 0
