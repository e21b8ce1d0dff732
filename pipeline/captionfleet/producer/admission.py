"""Whether a run may go on in its output folder, and what is settled there (main process)."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread

from captionfleet.config import JobConfig
from captionfleet.config.filters import parse_filter
from captionfleet.errors import ConfigError
from captionfleet.ledger.choosing import chosen_clips, listed_films
from captionfleet.ledger.folder import Ledger
from captionfleet.ledger.format.fingerprint import (
    Facts,
    admitted,
    fingerprint,
    request_facts,
    row_request_facts,
    written_facts,
)
from captionfleet.ledger.requests import Requests, load_requests, save_requests
from captionfleet.ledger.settled import Settled, load_settled
from captionfleet.messages import printable
from captionfleet.producer import finds_replaceable
from captionfleet.producer.sources import may_have_rows
from captionfleet.telemetry import get_log

__all__ = ["admit", "examine", "fingerprints", "row_fingerprints"]


def fingerprints(job: JobConfig) -> dict[str, str]:
    """The fingerprint of the requests to each deployment, by its name."""
    return {one.name: fingerprint(request_facts(job, one)) for one in job.deployments}


def row_fingerprints(job: JobConfig) -> dict[str, str]:
    """The same, of the requests for rows that have prompts of their own."""
    return {one.name: fingerprint(row_request_facts(job, one)) for one in job.deployments}


async def admit(job: JobConfig, ledger: Ledger, is_stopping: Callable[[], bool]) -> Settled:
    """Read what is settled in the ledger's folder, and note the requests that stand from now on.

    Where captions of another request are to be replaced, the folder stays with that request until
    the first of them is.

    A clip that was captioned twice, because a run that replaced captions was killed, keeps its
    latest line.

    Raises:
        ConfigError: the captions there were made with another request, or none is to be replaced.
        OutputError: the folder cannot be read or written.
    """
    standing = await _standing(job)
    if lines := standing.settled.ignored_lines:
        get_log().warning("lines of captions.jsonl name no clip: are captions lost?", lines=lines)
    if standing.is_handed_over:
        await _require_replaceable(job, standing.settled, is_stopping)
        ledger.hand_over = partial(_hand_over, job.output.dir, standing)
    current = standing.there if standing.is_handed_over else standing.current
    await anyio.to_thread.run_sync(_note, job.output.dir, standing, current)
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
    there: frozenset[str]
    current: frozenset[str]

    @property
    def is_handed_over(self) -> bool:
        """Whether the folder goes to this run's requests, and others' captions count no more."""
        return self.settled.is_known and not self.there <= self.current


async def _standing(job: JobConfig) -> _Standing:
    by_content = job.input.identity == "content"
    settled = await load_settled(job.output.dir, by_content=by_content)
    noted = await anyio.to_thread.run_sync(load_requests, job.output.dir)
    own = {fingerprint(facts): written_facts(facts) for facts in _facts(job)}
    there = settled.fingerprints if noted.current is None else noted.current
    own |= {key: facts for key, facts in _earlier(job).items() if key in there}
    if job.output.is_choosy:
        settled.ask_again(await anyio.to_thread.run_sync(_chosen, job))
        current = there | own.keys()  # of the clips that are not chosen, every caption stands
    else:
        known = {one: noted.facts.get(one) for one in there}
        current = admitted(known if settled.is_known else {}, own, recaption=job.output.recaption)
    settled.accept(current)
    return _Standing(settled, noted, own, there, current)


def _chosen(job: JobConfig) -> set[int]:
    """The clips that --recaption is limited to.

    Raises:
        ConfigError: there is none.
    """
    output = job.output
    films = None if output.recaption_list is None else listed_films(output.recaption_list)
    chosen = chosen_clips(output.dir, [parse_filter(one) for one in output.recaption_where], films)
    if not chosen:
        where = printable(os.fspath(output.dir))
        raise ConfigError(
            f"--recaption: no caption in {where} is of what --where or --from-list name"
        )
    return chosen


def _earlier(job: JobConfig) -> dict[str, dict[str, Any]]:
    """The requests that the same job stood for in earlier versions, by fingerprint."""
    meant = tuple(one.as_before_servers for one in job.deployments)
    facts = _facts(job.model_copy(update={"deployments": meant}))
    return {fingerprint(one): written_facts(one) for one in facts}


def _facts(job: JobConfig) -> list[Facts]:
    facts = [request_facts(job, deployment) for deployment in job.deployments]
    if any(map(may_have_rows, job.input.sources)):
        facts += [row_request_facts(job, deployment) for deployment in job.deployments]
    return facts


async def _require_replaceable(
    job: JobConfig, settled: Settled, is_stopping: Callable[[], bool]
) -> None:
    if not await finds_replaceable(job, settled, is_stopping):
        where = printable(os.fspath(job.output.dir))
        raise ConfigError(
            f"--recaption: no clip of these sources has a caption in {where}, so there is nothing "
            "to replace: name the sources of that folder, with its max_seconds, or choose another "
            "folder with --out"
        )


def _hand_over(folder: Path, standing: _Standing, clip_id: str) -> bool:
    """Give the folder to this run's requests if this clip's caption is one that is replaced."""
    if not standing.settled.is_replaced(clip_id):
        return False
    _note(folder, standing, standing.current)
    return True


def _note(folder: Path, standing: _Standing, current: frozenset[str]) -> None:
    noted, own = standing.noted, standing.own
    is_noted = noted.current == current and own.keys() <= noted.facts.keys()
    if is_noted and not noted.is_clear:
        return
    save_requests(folder, Requests({**noted.facts, **own}, current))
