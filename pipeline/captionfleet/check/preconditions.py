"""Looks at what a run does before its first clip: exports, metrics, its copy (main process)."""

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from captionfleet.check.finding import Finding, fail, ok, warn
from captionfleet.config import ExportConfig, JobConfig, MetricsConfig, OutputConfig
from captionfleet.errors import RunError
from captionfleet.export.export import check_export
from captionfleet.ledger.copying.deciding import Decision
from captionfleet.ledger.copying.opening import look_at_copy
from captionfleet.watch.metrics import look_at_port

__all__ = ["precondition_findings", "require_preconditions"]

_UNCOUNTED = "the clips that it holds count here as not captioned"


async def precondition_findings(job: JobConfig) -> list[Finding]:
    """Findings on them; an error that would end a run is one, too. Nothing is written."""
    findings = []
    for check, look in _looks(job):
        try:
            findings.append(await look())
        except RunError as error:
            findings.append(fail(check, str(error), exit_code=error.exit_code))
    return list(dict.fromkeys(findings))


async def require_preconditions(job: JobConfig) -> list[str]:
    """Make sure that a run could begin; return what to know before it does.

    Raises:
        RunError: the first error that would end a run.
    """
    findings = [await look() for _, look in _looks(job)]
    return [f"{one.text}: {one.advice}" for one in findings if one.level == "warn"]


def _looks(job: JobConfig) -> Iterator[tuple[str, Callable[[], Awaitable[Finding]]]]:
    for export in job.export:
        yield "export", partial(_export, export)
    if job.metrics.port is not None:
        yield "metrics", partial(_metrics, job.metrics)
    if job.output.copy_to is not None:
        yield "copy", partial(_copy, job.output)


async def _export(export: ExportConfig) -> Finding:
    check_export(export)
    return ok("export", f"{export.to} at the end of each run")


async def _metrics(config: MetricsConfig) -> Finding:
    if problem := await look_at_port(config):
        return warn("metrics", problem, "a run cannot begin while another program has the port")
    return ok("metrics", f"can be served on {config.host}:{config.port}")


async def _copy(output: OutputConfig) -> Finding:
    found = await look_at_copy(output)
    if found.decision is None:
        words = f"{output.copy_to} cannot be reached now ({found.problem})"
        return warn("copy", words, "a run begins without it, and tries again")
    words = f"{output.copy_to}: {found.decision.value}"
    if found.problem:
        advice = "a run that may not write there ends before it sends anything"
        return warn("copy", f"{words}, and {found.problem}", advice)
    if found.decision in {Decision.RESTORE, Decision.RESTORE_CAPTIONS}:
        return warn("copy", f"{words}, so a run first restores it", _UNCOUNTED)
    return ok("copy", f"{words}; whether it may be written is not checked")
