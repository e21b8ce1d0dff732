"""Whether a run may go on in its output folder, and what is settled there (main process)."""

from collections.abc import Mapping
from pathlib import Path

import anyio.to_thread

from pipeline.config import JobConfig
from pipeline.fingerprint import Facts, admitted, fingerprint, request_facts
from pipeline.producer import Settled, load_settled
from pipeline.sink import Ledger
from pipeline.sink.requests import Requests, load_requests, save_requests

__all__ = ["admit", "fingerprints"]


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
    settled = await load_settled(job.output.dir)
    noted = await anyio.to_thread.run_sync(load_requests, job.output.dir)
    own = {fingerprint(facts): facts for facts in _facts(job)}
    there = settled.fingerprints if noted.current is None else noted.current
    known = {one: noted.facts.get(one) for one in there}
    current = admitted(known if settled.is_known else {}, own, recaption=job.output.recaption)
    settled.accept(current)
    await anyio.to_thread.run_sync(_note, job.output.dir, noted, own, current)
    if settled.repeated_lines:
        await ledger.drop_superseded()
    return settled


def _facts(job: JobConfig) -> list[Facts]:
    return [request_facts(job, deployment) for deployment in job.deployments]


def _note(folder: Path, noted: Requests, own: Mapping[str, Facts], current: frozenset[str]) -> None:
    if noted.current == current and own.keys() <= noted.facts.keys():
        return
    save_requests(folder, Requests({**noted.facts, **own}, current))
