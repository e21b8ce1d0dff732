"""Listings of buckets: each object once, in the bucket's order, whatever a page came to."""

import pytest

from captionfleet.messages.address import parse_address
from captionfleet.storage import StorageError, list_objects
from tests.support.list_server import ListServer, key_of, list_server

pytest.importorskip("obstore")


@pytest.fixture
def leads_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Environment variables that a bucket is found by."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")


def listed(served: ListServer, monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """The names in a bucket that no test listed before."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", served.base_url)
    return [one.key for one in list_objects(parse_address(f"s3://{name}"))]


@pytest.mark.usefixtures("leads_to")
def test_a_lost_page_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library asks three times; after that the listing goes on behind the last name."""
    faults = {2: "500", 3: "cut", 5: "500", 6: "500", 7: "500"}
    with list_server(3500) as served:
        served.fault = lambda page: faults.get(page, "")
        names = listed(served, monkeypatch, "big-lost")
    assert names == [key_of(number) for number in range(3500)]


@pytest.mark.usefixtures("leads_to")
def test_a_listing_that_is_refused_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    with list_server(10) as served:
        served.fault = lambda _: "403"
        with pytest.raises(StorageError, match="may the credentials list it"):
            listed(served, monkeypatch, "big-refused")
