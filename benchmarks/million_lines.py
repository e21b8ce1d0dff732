"""How soon a run over a folder with a million captions sends its first request, and its memory.

Run from the checkout: `python -m benchmarks.million_lines [LINES]`.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import anyio
import orjson

from captionfleet.standin.ledger import Ledger
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from captionfleet.telemetry import monotonic_s
from tests.support.command import Argument, Command
from tests.support.job_file import write_job
from tests.support.tiny_films import write_tiny_films


async def main(lines: int) -> int:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tiny_films(folder / "videos", 2)
        out = folder / "out"
        async with serving(StandinOptions(service_time_s=0.5)) as standin:
            tables = {"input": {"settle_s": 0}, "workers": {"processes": 1}}
            job = write_job(folder / "job.toml", standin, tables=tables)
            words = ("run", "videos", "--job", job, "--out", out, "--store", folder / "store")
            await Command(folder)(*words, "--limit", "1")
            begun_s = monotonic_s()
            first = await _first_request(Command(folder), (*words, "--limit", "1"), standin.ledger)
            _repeat(out / "captions.jsonl", lines)
            size_mb = (out / "captions.jsonl").stat().st_size / 1e6
            print(f"{lines:,} lines, {size_mb:,.0f} MB (wrote in {monotonic_s() - begun_s:.0f} s)")
            write_tiny_films(folder / "videos", 3)  # a third one, to have something to do
            full = await _first_request(Command(folder), words, standin.ledger)
            print(f"to the first request: {full[0]:.2f} s, in a new folder {first[0]:.2f} s")
            print(f"peak RSS: {full[1]:.0f} MB, in a new folder {first[1]:.0f} MB")
    return 0


async def _first_request(
    command: Command, words: tuple[Argument, ...], ledger: Ledger
) -> tuple[float, float]:
    before = ledger.total
    begun_s = monotonic_s()
    async with command.started(*words) as running:
        with anyio.fail_after(120):
            await ledger.until(lambda now: now.total > before)
        seconds = monotonic_s() - begun_s
        status = await anyio.Path(f"/proc/{running.process.pid}/status").read_text()
        ended = await running.ended()
    if ended.exit_code:
        raise RuntimeError(ended.stderr)
    peak_kb = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return seconds, int(peak_kb) / 1000


def _repeat(captions: Path, lines: int) -> None:
    """Blow one line up to so many, each of another clip."""
    record = orjson.loads(captions.read_bytes().splitlines()[0])
    start, end = orjson.dumps(record | {"clip_id": "@" * 32}).split(b"@" * 32)
    with captions.open("ab") as file:
        file.writelines(start + b"%032x" % (n << 64 | n) + end + b"\n" for n in range(lines))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.million_lines", description=__doc__)
    parser.add_argument("lines", type=int, nargs="?", default=1_000_000)
    sys.exit(anyio.run(main, parser.parse_args().lines))
