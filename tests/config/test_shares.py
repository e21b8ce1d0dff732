"""Shares of files and of places at a deployment."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.config import JobConfig
from captionfleet.config.shares import places_of

SERVER = {"base_url": "http://127.0.0.1:9/v1", "model": "omni", "max_in_flight": 8}


def job(shard: str = "", **deployment: Any) -> JobConfig:
    """A job of one deployment."""
    return JobConfig.model_validate(
        {"input": {"shard": shard}, "deployments": [SERVER | deployment]}
    )


@given(places=st.integers(1, 5000), count=st.integers(1, 300))
def test_shares_come_to_the_whole(places: int, count: int) -> None:
    """No place is given twice, none is left, and no share is larger than another by two."""
    shares = [places_of(f"{index}/{count}", places) for index in range(count)]
    assert min(shares) >= 1
    assert max(shares) - min(shares) <= 1
    assert sum(shares) == max(places, count)


def test_share_as_that_of_the_files() -> None:
    """One job file serves all shards; a run of all files has all places."""
    assert [job(f"{i}/3", share="shard").deployments[0].most_in_flight for i in range(3)] == [
        2,
        3,
        3,
    ]
    assert job(share="shard").deployments[0].most_in_flight == 8
    assert job("1/3").deployments[0].most_in_flight == 8


def test_share_follows_replicas() -> None:
    """Of three replicas, a half is twelve places."""
    assert job(share="0/2").deployments[0].places(3) == 12


@pytest.mark.parametrize("share", ["1/1/2", "2/2", "-1/2", "half", "0/9"])
def test_shares_that_are_none(share: str) -> None:
    """Nor may there be more runs than places."""
    with pytest.raises(ValueError, match="share"):
        job(share=share)
