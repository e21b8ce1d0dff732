"""A bucket of 300,000 objects: when the first request comes, and what listing takes in memory.

`python -m benchmarks.bench_buckets [OBJECTS]`. The bucket is a server of this program's tests, all
its objects are one film of a second, and a stand-in answers. The run is stopped once the objects
were listed to the end, which the count beside the run does.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from subprocess import DEVNULL

import anyio
from anyio.abc import Process

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.list_server import ListServer, list_server
from tests.support.tiny_films import write_tiny_films

_LOOK_S = 0.05
_DEADLINE_S = 600.0
_PAGE = 1000


async def main(objects: int) -> None:
    """Run, and print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        film = write_tiny_films(Path(folder) / "films", 1)[0].read_bytes()
        with list_server(objects, film) as served:
            async with serving(StandinOptions()) as standin:
                await _measure(served, standin.base_url, Path(folder))


async def _measure(served: ListServer, base_url: str, folder: Path) -> None:
    captions = folder / "out" / "captions.jsonl"
    command = [
        sys.executable, "-m", "captionfleet", "run", "s3://big", "--base-url", base_url,
        "--model", "omni", "--out", os.fspath(captions.parent), "--store", os.fspath(folder / "st"),
    ]  # fmt: skip
    variables = {
        "AWS_ENDPOINT_URL": served.base_url, "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none",
    }  # fmt: skip
    begun_s = time.monotonic()
    async with await anyio.open_process(command, env=os.environ | variables, stderr=DEVNULL) as run:
        with anyio.fail_after(_DEADLINE_S):
            while not captions.exists() or not captions.stat().st_size:  # noqa: ASYNC110
                await anyio.sleep(_LOOK_S)
            first_s, first_mb, pages = time.monotonic() - begun_s, _rss_mb(run), served.pages
            while served.pages * _PAGE < served.objects + 2 * _PAGE:  # noqa: ASYNC110
                await anyio.sleep(_LOOK_S)
        listed_s, listed_mb = time.monotonic() - begun_s, _rss_mb(run)
        run.send_signal(signal.SIGINT)
    print(f"{served.objects:,} objects: first caption after {first_s:.1f} s ({pages} pages listed)")
    print(f"main process {first_mb:.0f} MB then, {listed_mb:.0f} MB after all, {listed_s:.0f} s in")


def _rss_mb(run: Process) -> float:
    status = Path(f"/proc/{run.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1000


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_buckets", description=__doc__)
    parser.add_argument("objects", type=int, nargs="?", default=300_000)
    anyio.run(main, parser.parse_args().objects)
