"""Every command that reads sources takes a bucket, and says in a line why not where it cannot."""

import os
from functools import partial

import orjson
import pytest

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.buckets.conftest import SECRET, Bucket
from tests.support.command import Command
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio


async def test_commands_over_a_bucket(bucket: Bucket, library: Library, command: Command) -> None:
    for number in range(2):
        bucket.put(f"films/{number}.mp4", library.films[number])
    source = f"{bucket.url}/films"
    async with serving(StandinOptions()) as standin:
        server = ("--base-url", standin.base_url, "--model", "omni")
        where = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        captionfleet = partial(command, variables=where)
        ran = await captionfleet("run", source, *server, "--out", "out", "--store", "store")
        checked = await captionfleet("check", source, *server)
        prepared = await captionfleet("prepare", source, "--out", "prepared")
        none = await captionfleet("run", f"{bucket.url}-not", *server, "--out", "none")

    assert [one.exit_code for one in (ran, checked, prepared, none)] == [0, 0, 0, 2]
    assert "2 files" in checked.stdout
    assert "the headers of 2 files are intact" in checked.stdout
    facts = orjson.loads((command.folder / "prepared" / "0.mp4.json").read_bytes())
    assert facts["source"] == "0.mp4"
    assert none.complaint.startswith(f"source {bucket.url}-not: it cannot be listed")
    assert SECRET not in "".join(one.stdout + one.stderr for one in (ran, checked, prepared, none))
