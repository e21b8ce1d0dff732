"""What ends a run before its first clip is a finding of the check, and ends a dry run."""

import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from captionfleet.check.check import Options, check_job
from captionfleet.check.finding import Finding
from captionfleet.check.preconditions import precondition_findings
from captionfleet.check.rehearsal import rehearse
from captionfleet.config import JobConfig
from captionfleet.errors import ConfigError
from captionfleet.export.command import check_exports
from captionfleet.ledger.copying.opening import open_copy
from captionfleet.telemetry import Tally
from captionfleet.watch.metrics import open_metrics

pytestmark = pytest.mark.anyio


def job_of(out: Path, tables: dict[str, Any]) -> JobConfig:
    output = {"dir": out, **tables.pop("output", {})}
    return JobConfig.model_validate({"output": output, **tables})


async def begun(job: JobConfig) -> None:
    """What a run does first."""
    check_exports(job)
    await open_copy(job.output)
    async with open_metrics(job.metrics, Tally()):
        pass


async def refused(step: Callable[[JobConfig], Awaitable[object]], job: JobConfig) -> str:
    with anyio.fail_after(60), pytest.raises(ConfigError) as error:
        await step(job)
    return str(error.value)


@pytest.mark.parametrize(
    ("check", "missing", "tables"),
    [
        ("export", "pyarrow", {"export": [{"to": "csv"}, {"to": "parquet"}]}),
        ("export", "pyarrow", {"export": [{"to": "hf"}]}),
        ("export", "", {"export": [{"to": "txt", "where": ["code=undecodable"]}]}),
        ("metrics", "prometheus_client", {"metrics": {"port": 9464}}),
        ("metrics", "", {"metrics": {"port": 9464, "host": "192.0.2.1"}}),
        ("copy", "obstore", {"output": {"copy_to": "s3://bucket/captions"}}),
    ],
)
async def test_what_ends_a_run_is_found_in_its_words(
    check: str,
    missing: str,
    tables: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same line and exit code 2 from run, check and dry run; the last two make no folder."""
    if missing:
        monkeypatch.setitem(sys.modules, missing, None)
    job = job_of(tmp_path / "out", tables)
    with anyio.fail_after(60):
        report = await check_job(job, Options(canary=False))
    (found,) = (one for one in report.findings if one.check == check and one.level == "fail")
    assert await refused(rehearse, job) == found.text
    assert not (tmp_path / "out").exists()
    assert await refused(begun, job) == found.text
    assert (found.exit_code, report.exit_code) == (2, 2)


async def test_several_exports_each_have_their_finding(tmp_path: Path) -> None:
    where = ["code=undecodable"]
    exports = [{"to": "txt", "where": where}, {"to": "srt", "where": where}, {"to": "csv"}]
    found = await precondition_findings(job_of(tmp_path, {"export": exports * 2}))
    assert [(one.check, one.level) for one in found] == [
        ("export", "fail"),
        ("export", "fail"),
        ("export", "ok"),
    ]


async def test_a_port_is_not_kept_and_may_be_another_runs(tmp_path: Path) -> None:
    """One that is in use now may be free at night; nothing listens after the look."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        job = job_of(tmp_path, {"metrics": {"port": port}})
        (found,) = await precondition_findings(job)
    assert (found.level, f"cannot listen on 127.0.0.1:{port}" in found.text) == ("warn", True)
    free = Finding("metrics", "ok", f"can be served on 127.0.0.1:{port}")
    assert await precondition_findings(job) == [free]
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pass
