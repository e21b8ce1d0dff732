"""Checks that a run may use its output folder, and reads which clips are done (main process)."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio.to_thread

from captionfleet.config import JobConfig
from captionfleet.config.filters import parse_filter
from captionfleet.errors import ConfigError
from captionfleet.ledger.choosing import chosen_clips, listed_films
from captionfleet.ledger.folder import Fingerprints, Ledger
from captionfleet.ledger.format.fingerprint import (
    Facts,
    admitted,
    fingerprint,
    request_facts,
    row_request_facts,
    written_facts,
)
from captionfleet.ledger.renaming import ByName, Renames, names_there, require_named
from captionfleet.ledger.requests import Requests, load_requests, save_requests
from captionfleet.ledger.settled import Settled, load_settled
from captionfleet.messages import printable
from captionfleet.producer import finds_replaceable
from captionfleet.producer.sources import may_have_rows
from captionfleet.telemetry import get_log

__all__ = ["admit", "examine", "fingerprints", "row_fingerprints"]


def fingerprints(job: JobConfig) -> Fingerprints:
    """The fingerprint of each request to each deployment, by their names."""
    return {
        (request.name, one.name): fingerprint(request_facts(job, one, request))
        for request in job.all_requests
        for one in job.deployments
    }


def row_fingerprints(job: JobConfig) -> Fingerprints:
    """The same for clips whose row has a prompt of its own."""
    return {
        (job.request.name, one.name): fingerprint(row_request_facts(job, one))
        for one in job.deployments
    }


async def admit(job: JobConfig, ledger: Ledger, is_stopping: Callable[[], bool]) -> Settled:
    """Read what is settled in the ledger's folder, and record the requests that count from now on.

    If a run replaces the captions of another request, the folder keeps that request until the first
    caption is replaced. Each of several requests is handled by itself.

    A clip with two captions, left by a killed run that was replacing them, keeps the latest.

    Raises:
        ConfigError: another request made the captions there, or there is none to replace.
        OutputError: the folder cannot be read or written.
    """
    standing = await _standing(job)
    for request in job.asked:
        if names := request.names_in_vain:
            get_log().warning(
                "the prompt is sent as it is: prompt_template = true fills in the names in braces",
                request=request.name,
                names=", ".join(names),
            )
    if lines := standing.settled.ignored_lines:
        get_log().warning("lines of captions.jsonl name no clip: are captions lost?", lines=lines)
    if standing.renames:
        await ledger.rename(standing.renames)
    if standing.replaced:
        await _require_replaceable(job, standing, is_stopping)
        ledger.hand_over = partial(_hand_over, job.output.dir, standing)
    await anyio.to_thread.run_sync(_note, job.output.dir, standing)
    if standing.settled.repeated_lines:
        await ledger.drop_superseded()
    ledger.begin()
    return standing.settled


async def examine(job: JobConfig) -> Settled:
    """What `admit` would find settled; writes nothing.

    Raises:
        ConfigError: the captions there were made with another request.
        OutputError: the folder cannot be read.
    """
    return (await _standing(job)).settled


@dataclass(frozen=True, slots=True)
class _Standing:
    """The requests of the captions in an output folder, and those that count after this run.

    `there` and `current` are fingerprints by request name. `replaced` names the requests whose old
    captions no longer count once the first of them is replaced.
    """

    settled: Settled
    noted: Requests
    facts: Mapping[str, Facts]
    there: ByName
    current: ByName
    renames: Renames
    replaced: set[str]


async def _standing(job: JobConfig) -> _Standing:
    by_content = job.input.identity == "content"
    settled = await load_settled(job.output.dir, by_content=by_content)
    noted = await anyio.to_thread.run_sync(load_requests, job.output.dir)
    own, earlier = _requests(job), _requests(_as_before_servers(job))
    every = {name: own[name] | earlier[name] for name in own}
    renames = settled.rename(own, every)
    there = names_there(settled.fingerprints, noted.current, every, renames)
    require_named(settled.fingerprints, own)
    for name, facts in own.items():
        facts |= {key: one for key, one in earlier[name].items() if key in there[name]}
    current = {**there, **_admitted(job, settled, noted, own, there)}
    if job.output.is_choosy:
        settled.ask_again(await anyio.to_thread.run_sync(_chosen, job, renames))
    settled.accept(current)
    settled.leave(current.keys() - {request.name for request in job.asked})
    known = settled.fingerprints
    replaced = {name for name in own if known.get(name) and not there[name] <= current[name]}
    flat = {key: one for facts in own.values() for key, one in facts.items()}
    return _Standing(settled, noted, flat, there, current, renames, replaced)


def _admitted(
    job: JobConfig,
    settled: Settled,
    noted: Requests,
    own: Mapping[str, Mapping[str, Facts]],
    there: ByName,
) -> ByName:
    """The fingerprints that count after this run, for the requests that it sends.

    Raises:
        ConfigError: the captions of one of them were made with another request.
    """
    current: ByName = {}
    for name in (request.name for request in job.asked):
        if job.output.is_choosy:  # all captions of clips that are not chosen still count
            current[name] = there[name] | own[name].keys()
            continue
        known = {one: noted.facts.get(one) for one in there[name]}
        is_known = bool(settled.fingerprints.get(name))
        current[name] = admitted(
            known if is_known else {}, own[name], recaption=job.output.recaption, name=name
        )
    return current


def _chosen(job: JobConfig, renames: Renames) -> dict[str, set[int]]:
    """The clips that --recaption is limited to, by request.

    Raises:
        ConfigError: there are none.
    """
    output = job.output
    films = None if output.recaption_list is None else listed_films(output.recaption_list)
    filters = [parse_filter(one) for one in output.recaption_where]
    found = chosen_clips(output.dir, filters, films, renames)
    chosen = {one.name: found[one.name] for one in job.asked if found.get(one.name)}
    if not chosen:
        where = printable(os.fspath(output.dir))
        raise ConfigError(f"--recaption: no caption in {where} matches --where or --from-list")
    return chosen


def _as_before_servers(job: JobConfig) -> JobConfig:
    """The job with the defaults of earlier versions."""
    meant = tuple(one.as_before_servers for one in job.deployments)
    return job.model_copy(update={"deployments": meant})


def _requests(job: JobConfig) -> dict[str, dict[str, Facts]]:
    """The recorded facts of each request, by name and fingerprint."""
    has_rows = any(map(may_have_rows, job.input.sources)) and len(job.all_requests) == 1
    found: dict[str, dict[str, Facts]] = {}
    for request in job.all_requests:
        facts = [request_facts(job, deployment, request) for deployment in job.deployments]
        if has_rows:
            facts += [row_request_facts(job, deployment) for deployment in job.deployments]
        found[request.name] = {fingerprint(one): written_facts(one) for one in facts}
    return found


async def _require_replaceable(
    job: JobConfig, standing: _Standing, is_stopping: Callable[[], bool]
) -> None:
    names = frozenset(standing.replaced)
    if not await finds_replaceable(job, standing.settled, names, is_stopping):
        where = printable(os.fspath(job.output.dir))
        raise ConfigError(
            f"--recaption: no clip of these sources has a caption in {where}, so there is nothing "
            "to replace: name the sources of that folder, with its max_seconds, or choose another "
            "folder with --out"
        )


def _hand_over(folder: Path, standing: _Standing, clip_id: str, request: str) -> bool:
    """Assign the folder to this run's request once it has replaced this clip's caption.

    Returns:
        Whether all requests are handed over.
    """
    if request in standing.replaced and standing.settled.is_replaced(clip_id, request):
        standing.replaced.discard(request)
        _note(folder, standing)
    return not standing.replaced


def _note(folder: Path, standing: _Standing) -> None:
    noted, facts = standing.noted, standing.facts
    current = {
        name: standing.there[name] if name in standing.replaced else own
        for name, own in standing.current.items()
    }
    is_noted = noted.current == current and facts.keys() <= noted.facts.keys()
    if is_noted and not noted.is_clear:
        return
    save_requests(folder, Requests({**noted.facts, **facts}, current))
