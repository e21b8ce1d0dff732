"""Whether a run may go on in its output folder, and what is settled there (main process)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from pipeline.config import JobConfig
from pipeline.fingerprint import Facts, admitted, fingerprint, request_facts
from pipeline.producer import Settled, load_settled
from pipeline.sink import Ledger
from pipeline.sink.requests import Requests, load_requests, save_requests
from pipeline.telemetry import get_log

__all__ = ["admit", "examine", "fingerprints"]


def fingerprints(job: JobConfig) -> dict[str, str]:
    """The fingerprint of the requests to each deployment, by its name."""
    return {one.name: fingerprint(request_facts(job, one)) for one in job.deployments}


async def admit(job: JobConfig, ledger: Ledger) -> Settled:
    """Read what is settled in the ledger's folder, and note the requests that stand from now on.

    A clip that was captioned twice, because a run that replaced captions was killed, keeps its
    latest line.

    Raises:
        ConfigError: the captions there were made with another request.
        OutputError: the folder cannot be read or written.
    """
    standing = await _standing(job)
    if lines := standing.settled.ignored_lines:
        get_log().warning("lines of captions.jsonl name no clip: are captions lost?", lines=lines)
    await anyio.to_thread.run_sync(_note, job.output.dir, standing)
    if standing.settled.repeated_lines:
        await ledger.drop_superseded()
    return standing.settled


async def examine(job: JobConfig) -> Settled:
    """What `admit` would find settled; nothing is written.

    Raises:
        ConfigError: the captions there were made with another request.
        OutputError: the folder cannot be read.
    """
    return (await _standing(job)).settled


@dataclass(frozen=True, slots=True)
class _Standing:
    """What there is in an output folder, and which requests' captions stand after this run."""

    settled: Settled
    noted: Requests
    own: Mapping[str, Facts]
    current: frozenset[str]


async def _standing(job: JobConfig) -> _Standing:
    by_content = job.input.identity == "content"
    settled = await load_settled(job.output.dir, by_content=by_content)
    noted = await anyio.to_thread.run_sync(load_requests, job.output.dir)
    own = {fingerprint(facts): facts for facts in _facts(job)}
    there = settled.fingerprints if noted.current is None else noted.current
    known = {one: noted.facts.get(one) for one in there}
    current = admitted(known if settled.is_known else {}, own, recaption=job.output.recaption)
    settled.accept(current)
    return _Standing(settled, noted, own, current)


def _facts(job: JobConfig) -> list[Facts]:
    return [request_facts(job, deployment) for deployment in job.deployments]


def _note(folder: Path, standing: _Standing) -> None:
    noted, own, current = standing.noted, standing.own, standing.current
    if noted.current == current and own.keys() <= noted.facts.keys():
        return
    save_requests(folder, Requests({**noted.facts, **own}, current))
