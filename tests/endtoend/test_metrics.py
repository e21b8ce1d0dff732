"""The figures of a run that goes on, as a scraper gets them."""

import socket
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path
from random import SystemRandom

import anyio
import anyio.to_thread
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from captionfleet import JobConfig, run_job
from tests.support.command import CommandHere
from tests.support.replica import answer, caption, gated, scripted
from tests.support.tiny_films import Library

Samples = dict[tuple[str, ...], float]


def free_port() -> int:
    """A port that nobody listens on, below those that the system gives to whoever wants any."""
    given = 32_768
    with suppress(OSError):
        given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = SystemRandom().randrange(2000, max(given, 4000))
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def scraped(port: int) -> tuple[list[Metric], Samples]:
    """All families, and every sample by name and its labels, which are in order."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    samples = {
        (sample.name.removeprefix("captionfleet_"), *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }
    return families, samples


async def until_in_the_midst(port: int, failures: int = 2) -> tuple[list[Metric], Samples]:
    """Scrape until two captions came, this many clips failed and one request is in flight."""
    with anyio.fail_after(60):
        while True:
            await anyio.sleep(0.05)
            try:
                families, samples = await anyio.to_thread.run_sync(scraped, port)
            except OSError:  # not yet
                continue
            captioned = samples["clips_total", "", "captioned"]
            failed = sum(
                value
                for (name, *labels), value in samples.items()
                if name == "clips_total" and labels[1] == "failed"
            )
            if captioned == 2 and failed == failures and samples.get(("in_flight", "omni-a")):
                return families, samples


@pytest.mark.anyio
async def test_a_run_is_scraped_while_it_lasts(library: Library, tmp_path: Path) -> None:
    """Counters, gauges and histograms tell what was done by now; the port is free afterwards."""
    port, gate = free_port(), anyio.Event()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film")
    script = (answer(400), caption(), caption(), gated(gate, caption()))
    async with scripted(*script) as replica:
        job = JobConfig.model_validate(
            {
                "input": {"sources": [*library.films[:4], broken]},
                "store": {"dir": library.store},
                "request": {"stream": True},
                "deployments": [
                    {
                        "name": "omni-a",
                        "base_url": replica.base_url,
                        "model": "omni",
                        "api_key_env": "",
                        "max_in_flight": 1,
                    }
                ],
                "output": {"dir": tmp_path / "out"},
                "metrics": {"port": port},
            }
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run_job, job)
            families, samples = await until_in_the_midst(port)
            gate.set()

    assert samples["clips_total", "not_video", "failed"] == 1
    assert samples["clips_total", "rejected", "failed"] == 1
    assert samples["tokens_total", "prompt"] == 140
    assert samples["tokens_total", "cached"] == 14
    assert samples["requests_total", "omni-a", "2xx"] == 2
    assert samples["requests_total", "omni-a", "4xx"] == 1
    assert samples["retries_total",] == 0
    assert samples["in_flight", "omni-a"] == samples["window", "omni-a"] == 1
    assert samples["deployment_up", "omni-a"] == 1
    assert samples["planned_clips",] == 5
    for name in ("request_seconds_count", "first_token_seconds_count"):
        assert samples[name, "omni-a"] == 2
    assert samples["clip_seconds_count",] == samples["prepare_seconds_count",] == 2
    assert {family.type for family in families} == {"counter", "gauge", "histogram"}
    assert all(family.name.startswith("captionfleet_") for family in families)
    socket.create_server(("127.0.0.1", port)).close()


@pytest.mark.anyio
async def test_each_named_request_counts(library: Library, tmp_path: Path) -> None:
    """Clips, failures and tokens count once for each request, preparing once for each clip."""
    port, gate = free_port(), anyio.Event()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film")
    script = (caption(), answer(400), caption(), gated(gate, caption()))
    async with scripted(*script) as replica:
        requests = [{"name": name, "prompt": f"{name}?"} for name in ("short", "tags")]
        one = {"base_url": replica.base_url, "model": "omni", "api_key_env": ""}
        job = JobConfig.model_validate(
            {
                "input": {"sources": [*library.films[:2], broken]},
                "store": {"dir": library.store},
                "request": requests,
                "deployments": [one | {"name": "omni-a", "max_in_flight": 1}],
                "output": {"dir": tmp_path / "out"},
                "metrics": {"port": port},
            }
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run_job, job)
            _, samples = await until_in_the_midst(port, failures=3)
            gate.set()

    assert samples["clips_total", "not_video", "failed"] == 2
    assert samples["clips_total", "rejected", "failed"] == 1
    assert samples["requests_total", "omni-a", "2xx"] == 2
    assert samples["tokens_total", "prompt"] == 140
    assert samples["planned_clips",] == 6
    assert samples["clip_seconds_count",] == samples["prepare_seconds_count",] == 2


def test_a_port_that_is_taken_is_told(here: CommandHere, library: Library) -> None:
    """One line names the port, the exit code is 2, and nothing was begun."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = here(
            *f"run {library.films[0]} --out out --base-url http://127.0.0.1:9/v1".split(),
            *f"--model omni --metrics-port {port}".split(),
        )
    assert ended.exit_code == 2
    assert f"--metrics-port: cannot listen on 127.0.0.1:{port}: " in ended.complaint
    assert not Path("out").exists()


def test_a_missing_extra_is_told(
    here: CommandHere, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without prometheus-client one line says what to install, and the exit code is 2."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    ended = here(
        *f"run {library.films[0]} --out out --base-url http://127.0.0.1:9/v1".split(),
        *"--model omni --metrics-port 9464".split(),
    )
    assert ended.exit_code == 2
    assert ended.complaint.endswith("pip install 'captionfleet[metrics]'")
