"""Run the program against vLLM and llama-server, and through proxies; print a table."""

import argparse
import re
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.interop import places, servers
from benchmarks.interop.servers import Server
from benchmarks.interop.steps import Bench, FailedStepError, steps_of
from benchmarks.standins import standins
from tests.support.tiny_films import write_tiny_films

_SERVERS = ("vllm", "llama-server", "litellm", "nginx", "haproxy")
_CLIPS = 32
Row = tuple[str, str, str, str]


def main() -> int:
    """Exit code 1: a step failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.interop", description=__doc__)
    parser.add_argument("only", nargs="*", default=_SERVERS, help=" ".join(_SERVERS))
    parser.add_argument("--folder", type=Path, default=Path("bench-results/interop"))
    arguments = parser.parse_args()
    folder = arguments.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    videos = folder / "videos"
    if not videos.exists():
        write_tiny_films(videos, _CLIPS)
    rows = []
    print(f"{datetime.now(UTC):%Y-%m-%d}\n")
    print("| server | version | step | what came |\n|---|---|---|---|")
    for name in arguments.only:
        for row in _rows(name, folder, videos):
            print("| " + " | ".join(row) + " |", flush=True)
            rows.append(row)
    return int(any(row[3].startswith("FAILED") for row in rows))


def _rows(name: str, folder: Path, videos: Path) -> Iterator[Row]:
    own = folder / f"{name}-out-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    own.mkdir()
    bench = Bench(videos, own)
    if name == "vllm":
        bench = Bench(videos, own, server=name, extra_body=servers.PRINTABLE)
    if name == "llama-server":
        bench = Bench(videos, own, name, "Qwen2-VL", extra_body=servers.LETTERS)
    with ExitStack() as stack:
        try:
            version, started = _started(name, folder, stack)
        except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
            yield name, "?", "start", f"FAILED: {error}"
            return
        for step, take in steps_of(name):
            try:
                yield name, version, step, take(bench, started)
            except (FailedStepError, OSError, subprocess.TimeoutExpired) as error:
                yield name, version, step, f"FAILED: {error}"


def _started(name: str, folder: Path, stack: ExitStack) -> tuple[str, list[Server]]:
    if name == "vllm":
        python = places.install_vllm(folder)
        started = [stack.enter_context(servers.vllm(python, folder)) for _ in range(2)]
        return places.VLLM.rpartition("==")[2], started
    if name == "llama-server":
        python = places.install_llama(folder)
        server = stack.enter_context(servers.llama(python, folder))
        return places.LLAMA[0].rpartition("==")[2], [server]
    (standin,) = stack.enter_context(standins(["--model", "qwen3-omni", "--watch-media"]))
    version, proxy = _proxy(name, folder, standin.base_url)
    return version, [stack.enter_context(proxy)]


def _proxy(name: str, folder: Path, base_url: str) -> tuple[str, AbstractContextManager[Server]]:
    if name == "litellm":
        python = places.install_litellm(folder)
        return places.LITELLM.rpartition("==")[2], servers.litellm(python, folder, base_url)
    program = places.install_debian(name)
    if program is None:
        raise RuntimeError(f"{name} is not installed")
    ended = subprocess.run([program, "-v"], capture_output=True, text=True, check=True)
    version = re.search(r"\d+(\.\d+)+", ended.stdout + ended.stderr)
    start = servers.nginx if name == "nginx" else servers.haproxy
    return version[0] if version else "?", start(program, folder, base_url)


if __name__ == "__main__":
    raise SystemExit(main())
