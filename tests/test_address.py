"""Addresses of objects: one spelling each, and nothing that signs a request in what is shown."""

import os
from pathlib import Path

import pytest

from captionfleet.messages.address import is_address, parse_address, shown_name

SIGNED = {
    "https://cdn.example/a/b.mp4?X-Amz-Algorithm=AWS4&X-Amz-Credential=AKIA&X-Amz-Signature=hush",
    "https://storage.example/a/b.mp4?X-Goog-Signature=hush&X-Goog-Credential=me",
    "https://acc.blob.example/a/b.mp4?sv=2024&se=2026-01-01&sr=b&sp=r&sig=hush",
    "https://cdn.example/a/b.mp4?Expires=1&Signature=hush&Key-Pair-Id=K",
    "https://me:hush@cdn.example/a/b.mp4",
    "https://cdn.example/a/b.mp4?token=hush",
    "https://cdn.example/a/b.mp4?AWSAccessKeyId=AKIA&Signature=hush&Expires=1",
    "https://cdn.example/a/b.mp4?access_token=hush#part",
}


@pytest.mark.parametrize("text", sorted(SIGNED))
def test_what_signs_an_address_opens_it_and_is_not_shown(text: str) -> None:
    address = parse_address(text)

    assert "hush" in address.opens
    assert address.shown.endswith("/a/b.mp4")
    assert shown_name(os.fspath(Path(text))) == address.shown
    assert parse_address(address.shown).shown == address.shown


def test_what_names_the_file_stays() -> None:
    address = parse_address("https://cdn.example:8443/watch?v=1&v=2&quality=")

    assert address.shown == address.opens == "https://cdn.example:8443/watch?v=1&v=2&quality="


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("s3://bucket/a/b c.mp4", ("s3", "bucket", "a/b c.mp4")),
        ("S3:/bucket/a", ("s3", "bucket", "a")),  # as a Path has it
        ("gs://bucket", ("gs", "bucket", "")),
        ("az://container/a/", ("az", "container", "a/")),
    ],
)
def test_an_object_in_a_bucket(text: str, parts: tuple[str, str, str]) -> None:
    assert parse_address(text)[:3] == parts


@pytest.mark.parametrize("text", ["s3", "s3:", "s3://", "a/s3://b", "file:///a", "C:/a", "-"])
def test_what_is_a_path_is_no_address(text: str) -> None:
    assert not is_address(text)
    assert shown_name(text) == text


def test_keys_that_may_tell_files_apart_are_shown_as_digests() -> None:
    one, other = (parse_address(f"https://cdn.example/get?key=hush{n}&v=1") for n in "12")

    assert one.shown != other.shown
    assert "hush" not in one.shown + other.shown
    assert parse_address(one.shown).shown == one.shown


@pytest.mark.parametrize("text", ["https://me:hush@[x/?q=hush", "https://me:hu/sh@host/"])
def test_what_is_no_address_is_named_without_its_keys(text: str) -> None:
    with pytest.raises(ValueError, match="no host") as raised:
        parse_address(text)
    assert "hu" not in str(raised.value)
    assert "hu" not in shown_name(text)
