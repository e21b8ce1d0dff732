"""Runs a check: settings, output folder, sources, deployments, estimate (main process)."""

from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from captionfleet.check.asking import Asked, ask_deployment
from captionfleet.check.drawing import draw_canary
from captionfleet.check.estimate import estimate, estimate_findings
from captionfleet.check.finding import Finding, Report, fail, ok, warn
from captionfleet.check.preconditions import precondition_findings
from captionfleet.check.settings import setting_findings
from captionfleet.check.sources import Library, example_of, source_findings, survey
from captionfleet.config import JobConfig
from captionfleet.errors import RunError
from captionfleet.ledger.settled import Settled
from captionfleet.producer.admission import examine
from captionfleet.telemetry import Tally
from captionfleet.workers.cluster.cluster import open_cluster
from captionfleet.workers.headers import confinement_of

__all__ = ["Options", "check_job"]


@dataclass(frozen=True, slots=True)
class Options:
    """Whether the check may send requests, and how many headers it reads."""

    canary: bool = True
    most_probed: int = 500
    seed: int | None = None


async def check_job(job: JobConfig, options: Options) -> Report:
    """Check the job without writing anything.

    An error that would end a run is a finding here, so that the rest is checked too.
    """
    findings = list(setting_findings(job))
    settled = await _output(job, findings)
    asked: dict[str, Asked] = {}
    needed: list[Finding] = []
    async with anyio.TemporaryDirectory(prefix="captionfleet-check-") as folder:
        clips = []
        if options.canary and job.deployments:
            try:
                clips = await draw_canary(job, Path(folder), options.seed)
            except RunError as error:
                findings.append(fail("canary", str(error)))

        example = await anyio.to_thread.run_sync(example_of, job) if clips else None

        async def ask(name: str) -> None:
            asked[name] = await ask_deployment(job, by_name[name], clips, example)

        async def look() -> None:
            needed.extend(await precondition_findings(job))

        by_name = {one.name: one for one in job.deployments}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(look)
            for name in by_name:
                tasks.start_soon(ask, name)
            library = await _sources(job, settled, options, findings)
            findings += [await _confinement(job), *_memory(job), *await _cluster(job)]
    findings += needed
    findings += [finding for name in by_name for finding in asked[name].findings]
    found = [
        one
        for name, deployment in by_name.items()
        if (one := estimate(job, deployment, library, asked[name].long_s))
    ]
    findings += [*_paid(asked), *estimate_findings(found)]
    return Report(findings, list(by_name), {one.deployment: one.as_dict() for one in found} or None)


async def _output(job: JobConfig, findings: list[Finding]) -> Settled:
    """The clips that are settled in the output folder, if a run could continue there."""
    if not job.deployments:
        return Settled()
    try:
        return await examine(job)
    except RunError as error:
        findings.append(fail("output", str(error), exit_code=error.exit_code))
        return Settled()


async def _sources(
    job: JobConfig, settled: Settled, options: Options, findings: list[Finding]
) -> Library:
    if not job.input.sources:
        findings.append(warn("sources", "none are named", "name them to have them counted"))
        return Library()
    try:
        library = await survey(job, settled, most=options.most_probed)
    except RunError as error:
        findings.append(fail("sources", str(error), exit_code=error.exit_code))
        return Library()
    findings += source_findings(library)
    return library


async def _confinement(job: JobConfig) -> Finding:
    if job.workers.confine == "none":
        return warn("workers", "not confined: [workers] confine is none")
    try:
        held = await confinement_of(job.workers)
    except RunError as error:
        return fail("workers", str(error), exit_code=error.exit_code)
    if held == "landlock+seccomp":
        return ok("workers", f"confined by {held}")
    advice = "run untrusted films as a separate user, or on a kernel with Landlock (5.13 on)"
    return warn("workers", f"confinement: {held}", advice)


def _memory(job: JobConfig) -> list[Finding]:
    words = job.overcommitment
    return [warn("workers", words, "give fewer --workers, or more memory")] if words else []


async def _cluster(job: JobConfig) -> list[Finding]:
    """Whether the Ray cluster can be reached, if workers are to run on one."""
    if job.workers.engine == "local":
        return []
    try:
        async with open_cluster(job, Tally()) as (_, cluster):
            cpus = cluster.cpus if cluster else 0
    except RunError as error:
        return [fail("workers", str(error), exit_code=error.exit_code)]
    words = f"on Ray, which has {cpus:,} CPUs now: each node checks versions and sources itself"
    return [ok("workers", words)]


def _paid(asked: dict[str, Asked]) -> list[Finding]:
    tokens = sum(one.tokens for one in asked.values())
    return [ok("canary", f"this check took {tokens:,} tokens")] if tokens else []
