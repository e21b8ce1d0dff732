"""Buckets of a real S3 server, captioned like folders, whatever the server does meanwhile."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.buckets.conftest import KEY, SECRET, Bucket
from tests.support.nights import Nights
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio


def holds_no_secret(folder: Path) -> bool:
    """Whether the key stands in none of the files below a folder."""
    files = filter(Path.is_file, folder.rglob("*"))
    return not any(
        secret.encode() in path.read_bytes() for path in files for secret in (KEY, SECRET)
    )


async def test_a_bucket_is_captioned_like_a_folder(
    bucket: Bucket, library: Library, nights: Nights
) -> None:
    """The same media as from disk, once each, over nights; only what changed is paid again."""
    names = ["a.mp4", "b/ü é+&%41#?.mp4", "b/c d.mp4"]
    for name, film in zip(names, library.films, strict=False):
        bucket.put(f"videos/{name}", film)
    for name in ("videos-not/a.mp4", "videos/read.me", "videos/b/", "videos/empty.mp4"):
        bucket.put(name)
    bucket.put("videos//odd.mp4", library.films[3])
    nights.videos.mkdir()
    for film in library.films[:3]:
        (nights.videos / film.name).write_bytes(film.read_bytes())

    there = {"sources": [f"{bucket.url}/videos", f"{bucket.url}/videos/a.mp4"]}
    near = Nights(nights.folder, nights.folder / "near-store")
    async with serving(StandinOptions()) as standin:
        with capture_logs() as logs:
            first = await nights.run(standin, input=there)
            second = await nights.run(standin, input=there)
        bucket.put("videos/a.mp4", library.films[4])
        third = await nights.run(standin, input=there)
        lines = nights.output.captions
        failures = nights.output.failures
        await near.run(standin, output={"dir": nights.folder / "near"})

    assert (first.captioned, first.failed) == (3, 1)
    assert (second.captioned, second.already_captioned) == (0, 3)
    assert (third.captioned, third.already_captioned) == (1, 2)
    assert {line["source"] for line in lines} == set(names)
    assert {line["root"] for line in lines} == {f"{bucket.url}/videos"}
    assert [(one["path"], one["code"]) for one in failures] == [
        (f"{bucket.url}/videos//odd.mp4", "source_unreadable")
    ]
    near_lines = type(nights.output)(nights.folder / "near").captions
    assert {line["media"]["video_sha256"] for line in near_lines} <= {
        line["media"]["video_sha256"] for line in lines
    }
    assert holds_no_secret(nights.folder)
    assert KEY not in str(logs)
    assert SECRET not in str(logs)


async def test_faults_that_pass_cost_nothing_and_others_have_their_codes(
    bucket: Bucket, library: Library, nights: Nights
) -> None:
    """500, cuts and slowness are waited out; refused, gone, changed and stuck are told apart."""
    for number in range(8):
        bucket.put(f"{number}.mp4", library.films[number])

    def fault(key: str, number: int) -> str:
        if not key:  # the listing
            return {1: "500", 2: "cut"}.get(number, "")
        if key == "2.mp4":
            return {1: "503", 2: "cut", 3: "500"}.get(number, "")
        if key == "3.mp4" and number == 1:
            bucket.client.delete_object(Bucket=bucket.name, Key=key)
        if key == "4.mp4" and number == 1:
            bucket.put(key, library.films[9])
        return {"5.mp4": "403", "6.mp4": "stall"}.get(key, "")

    bucket.proxy.fault = fault
    limits = {"processes": 2, "clip_timeout_s": 5}
    async with serving(StandinOptions()) as standin:
        summary = await nights.run(standin, input={"sources": [bucket.url]}, workers=limits)

    assert {line["source"]: line["code"] for line in nights.output.failures} == {
        "3.mp4": "source_missing",
        "4.mp4": "source_changed",
        "5.mp4": "source_unreadable",
        "6.mp4": "prepare_timeout",
    }
    assert summary.captioned == 4
    assert bucket.proxy.requests["2.mp4"] >= 4


async def test_rows_name_objects_and_windows(
    bucket: Bucket, library: Library, nights: Nights
) -> None:
    bucket.put("a b.mp4", library.films[0])
    rows = nights.folder / "all.tsv"
    rows.write_text(
        "source\tstart_s\tend_s\n"
        f"{bucket.url}/a b.mp4\t0\t1\n"
        f" {bucket.url}/a b.mp4\t0.5\t1.5\n"
        f"{bucket.url}/gone.mp4\t0\t1\n"
    )
    async with serving(StandinOptions()) as standin:
        first = await nights.run(standin, input={"sources": [rows]})
        again = await nights.run(standin, input={"sources": [rows]})

    assert [(line["start_s"], line["end_s"]) for line in nights.output.captions] in (
        [(0.0, 1.0), (0.5, 1.5)],
        [(0.5, 1.5), (0.0, 1.0)],
    )
    assert {line["path"] for line in nights.output.captions} == {f"{bucket.url}/a b.mp4"}
    assert [line["code"] for line in nights.output.failures] == ["source_missing"]
    assert (first.captioned, again.captioned) == (2, 0)


async def test_a_row_counts_before_the_bucket(
    bucket: Bucket, library: Library, nights: Nights
) -> None:
    """Its id is the film's although the bucket is named first; the clip is the same without it."""
    for number in range(2):
        bucket.put(f"{number}.mp4", library.films[number])
    rows = nights.folder / "all.csv"
    rows.write_text(f"path,id\n{bucket.url}/1.mp4,one\n")
    async with serving(StandinOptions()) as standin:
        first = await nights.run(standin, input={"sources": [bucket.url, rows]})
        again = await nights.run(standin, input={"sources": [bucket.url]})

    assert {line["path"][-5:]: line["id"] for line in nights.output.captions} == {
        "0.mp4": "",
        "1.mp4": "one",
    }
    assert (first.captioned, again.captioned, again.already_captioned) == (2, 0, 2)


@pytest.mark.parametrize("kind", ["profile", "session token"])
async def test_credentials_are_found_where_other_tools_find_them(
    bucket: Bucket, nights: Nights, library: Library, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    bucket.put("a.mp4", library.films[0])
    if kind == "profile":
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        file = nights.folder / "credentials"
        file.write_text(
            "[films]\naws_access_key_id = AKIAFROMAPROFILE\naws_secret_access_key = hush\n"
        )
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
        monkeypatch.setenv("AWS_PROFILE", "films")
    else:
        monkeypatch.setenv("AWS_SESSION_TOKEN", "hushhush")
    async with serving(StandinOptions()) as standin:
        summary = await nights.run(standin, input={"sources": [bucket.url]})

    assert summary.captioned == 1
    signer = "AKIAFROMAPROFILE" if kind == "profile" else KEY
    assert all(signer in one for one in bucket.proxy.signers)
    assert kind == "profile" or all("x-amz-security-token" in one for one in bucket.proxy.signers)
    assert holds_no_secret(nights.output.folder)
