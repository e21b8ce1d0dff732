"""An object has one version, whichever answer names it."""

from datetime import UTC, datetime

from captionfleet.storage.objects import facts_of

CHANGED = datetime(2026, 11, 26, tzinfo=UTC)


def test_listings_of_azure_write_etags_without_quotes() -> None:
    listed = facts_of({"size": 1, "e_tag": "0x1F", "last_modified": CHANGED}, scheme="az")
    answered = facts_of({"size": 1, "e_tag": '"0x1F"', "last_modified": CHANGED}, scheme="az")
    assert listed == answered


def test_only_web_servers_are_known_by_their_time_too() -> None:
    one = {"size": 1, "e_tag": '"1"', "last_modified": CHANGED}
    assert facts_of(one, scheme="https").is_same(facts_of(one | {"e_tag": '"2"'}, scheme="https"))
    assert not facts_of(one, scheme="s3").is_same(facts_of(one | {"e_tag": '"2"'}, scheme="s3"))
