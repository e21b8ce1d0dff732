"""The `captionfleet run` command: reads flags, runs the job, prints the summary (main process)."""

import sys
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from captionfleet.cli.run_flags import RunFlags
from captionfleet.config import JobConfig, job_from_flags
from captionfleet.errors import ConfigError
from captionfleet.messages import Clip, for_terminal, printable
from captionfleet.system.standard_streams import do_not_wait_for_readers
from captionfleet.telemetry import Progress, configure_logging, get_log

__all__ = ["run"]


def run(*sources: Path, flags: RunFlags = RunFlags()) -> int:  # noqa: B008 - frozen
    """Caption videos; continue where an earlier run into the same folder stopped.

    Exit codes: 0 everything captioned, 1 finished with failures, 2 bad job file or arguments,
    3 output cannot be written or is locked, 4 no deployment usable or credentials refused,
    5 stopped by a limit of the job, 6 the system refuses a process or thread,
    129/130/143 ended by a signal (resumable).


    Args:
        sources: Files, folders, addresses (s3://, gs://, az://, https://), lists of these (.txt,
            .lst, .csv, .tsv, .jsonl, .parquet), and - for a list on standard input; they replace
            the job file's.
        flags: The others.
    """
    each = {
        "server": flags.server,
        "api_key_env": flags.api_key_env,
        "max_in_flight": flags.max_in_flight,
    }
    settled = job_from_flags(
        flags.job,
        flags.overrides(sources),
        base_urls=flags.base_url or (),
        models=flags.model or (),
        each_deployment=each,
    )
    if flags.job is None and flags.out is None:
        raise ConfigError("no output folder: give --out DIR")
    if flags.list_ and not flags.dry_run:
        raise ConfigError("--list: give it with --dry-run")
    return (
        _rehearse(settled, lists=flags.list_) if flags.dry_run else _caption(settled, each, flags)
    )


async def _copy_again(job: JobConfig) -> None:
    """Copy the files that were written after the run, such as the report."""
    from captionfleet.ledger.copying.opening import copy_again  # noqa: PLC0415 - as below

    if problem := await copy_again(job.output):
        get_log().warning("the report is not copied", to=job.output.copy_to, reason=problem)


def _rehearse(job: JobConfig, *, lists: bool) -> int:
    from captionfleet.check.rehearsal import rehearse  # noqa: PLC0415 - as below

    configure_logging(as_json=False, quiet=False)
    if not lists:  # which another program may read at its own pace
        do_not_wait_for_readers()

    def show(reason: str, clip: Clip, request: str) -> None:
        place = f"{clip.start_s:g}\t{clip.end_s:g}\t{for_terminal(printable(clip.source.path))}"
        print(f"{reason}\t{place}" + (f"\t{request}" if request else ""))

    found = anyio.run(rehearse, job, show if lists else None)
    print(found.text(), file=sys.stderr if lists else sys.stdout)
    return 0


def _caption(job: JobConfig, each: dict[str, Any], show: RunFlags) -> int:
    from captionfleet.deployment.discovery import with_deployments  # noqa: PLC0415 - as below
    from captionfleet.run import run_job  # noqa: PLC0415 - --help need not wait

    if job.output.report:
        # Imported now, not when it is needed: the installation may be upgraded during the run.
        from captionfleet.report.command import report_of_run  # noqa: PLC0415 - others do without

    if job.export:
        from captionfleet.export.command import check_exports, exports_of_run  # noqa: PLC0415 - as above

        check_exports(job)
    configure_logging(as_json=show.log_json, quiet=show.quiet)
    do_not_wait_for_readers()

    async def main() -> int:
        progress: Progress = None if show.quiet else "log" if show.log_json else sys.stderr
        named = await with_deployments(job, each)
        summary = await run_job(named, progress=progress, handle_signals=True)
        get_log().info("run ended", ended=summary.ended, exit_code=summary.exit_code)
        if not show.quiet:
            print(summary.text(verbose=show.verbose))
        if job.output.report and summary.ended != "signal":
            report = await report_of_run(job.output.dir)
            if not show.quiet:
                print(f"report      {report}")
        exit_code = summary.exit_code_of_news if show.known_failures_ok else summary.exit_code
        if job.export and summary.ended != "signal":
            exports, problem = await to_thread.run_sync(exports_of_run, job)
            exit_code = exit_code or problem
            if not show.quiet:
                print("\n".join(exports))
        if summary.copy.get("is_current") and (job.output.report or job.export):
            await _copy_again(job)
        print(summary.mail_line())
        return exit_code

    return anyio.run(main)
