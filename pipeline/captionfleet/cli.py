"""The commands: parse, call, print, exit code; no logic (main process)."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
from anyio import to_thread
from cyclopts import App, CycloptsError, Parameter

from captionfleet.config import JobConfig, job_from_flags
from captionfleet.errors import ConfigError, FailureCode, RunError
from captionfleet.examples import examples
from captionfleet.messages import Clip, for_terminal, printable
from captionfleet.profiles.servers import ServerName
from captionfleet.system.machine import machine_errors
from captionfleet.system.standard_streams import do_not_wait_for_readers
from captionfleet.telemetry import Progress, configure_logging, get_log

__all__ = ["app", "run_command_line"]

_BAD_ARGUMENTS = 2

app = App(
    name="captionfleet",
    version=lambda: version("captionfleet"),
    help="Caption video libraries in bulk with omni-modal models.",
    version_flags=["--version", "-V"],
    help_format="markdown",
)
app.register_install_completion_command(add_to_startup=False)


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command; every error the user can mend is one line on stderr."""
    try:
        with machine_errors():
            result = app(
                _spelled_out(arguments),
                exit_on_error=False,
                print_error=False,
                result_action="return_value",  # by default it exits, before stdout is looked after
            )
    except CycloptsError as error:
        _complain(" ".join(str(error).split()))
        return _BAD_ARGUMENTS
    except RunError as error:
        _complain(str(error))
        for note in getattr(error, "__notes__", ()):
            print(note)
        return error.exit_code
    return result if isinstance(result, int) else 0


def _spelled_out(arguments: Sequence[str]) -> list[str]:
    """`help COMMAND` is `COMMAND --help`, `--retry-failed` means all codes, - standard input.

    The parser knows none of them: it wants a value with every such flag, and takes - for a flag;
    as a path, ./- is the same.
    """
    if list(arguments[:1]) == ["help"]:
        arguments = [*arguments[1:], "--help"]
    until = arguments.index("--") if "--" in arguments else len(arguments)
    spelled = {"--retry-failed": "--retry-failed=all", "-": "./-"}
    named = [spelled.get(word, word) for word in arguments]
    return [*named[:until], *arguments[until:]]


def _complain(words: str) -> None:
    """Print one line, whatever stands in the names that are part of it."""
    print(f"captionfleet: {for_terminal(words)}", file=sys.stderr)


@app.command(help_epilogue=examples("run"))
def run(
    *sources: Path,
    job: Path | None = None,
    out: Path | None = None,
    base_url: Annotated[list[str] | None, Parameter(negative="")] = None,
    model: Annotated[list[str] | None, Parameter(negative="")] = None,
    server: ServerName | None = None,
    api_key_env: str | None = None,
    prompt: str | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
    stream: bool | None = None,
    max_in_flight: int | None = None,
    workers: int | None = None,
    sampling: Literal["exact", "fast"] | None = None,
    segments: Literal["first", "all"] | None = None,
    identity: Literal["stat", "content"] | None = None,
    relocate: Annotated[list[str] | None, Parameter(negative="")] = None,
    retry_failed: Annotated[list[str] | None, Parameter(negative="")] = None,
    recaption: Annotated[bool, Parameter(negative="")] = False,
    where: Annotated[list[str] | None, Parameter(negative="")] = None,
    from_list: Path | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    list_: Annotated[bool, Parameter(name="--list", negative="")] = False,
    allow_empty: Annotated[bool, Parameter(negative="")] = False,
    limit: int | None = None,
    shard: str | None = None,
    deadline: str | None = None,
    max_hours: float | None = None,
    max_failures: str | None = None,
    max_tokens_total: int | None = None,
    drain_s: float | None = None,
    timeout_s: Annotated[float | None, Parameter(name=["--timeout-s", "--timeout"])] = None,
    store: Path | None = None,
    metrics_port: int | None = None,
    log_json: Annotated[bool, Parameter(negative="")] = False,
    quiet: Annotated[bool, Parameter(negative="")] = False,
    verbose: Annotated[bool, Parameter(negative="")] = False,
    known_failures_ok: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Caption videos; continue where an earlier run into the same folder stopped.

    Exit codes: 0 everything captioned, 1 finished with failures, 2 bad job file or arguments,
    3 output cannot be written or is locked, 4 no deployment usable or credentials refused,
    5 stopped by a limit that was asked for, 6 the machine gives no process or thread,
    129/130/143 ended by a signal (resumable).

    Args:
        sources: Files, folders, lists of either (.txt, .lst, .csv, .tsv, .jsonl, .parquet), and -
            for a list on standard input; they replace the job file's.
        job: Job file (TOML), which flags override; by default there is none.
        out: Output folder, made if missing: captions.jsonl, failures.jsonl, run.json; by default
            the job file's.
        base_url: Where a deployment answers, up to /v1; repeat with --model for several; by default
            the job file's.
        model: The deployment's model string; by default the job file's.
        server: What kind of server that is: it decides whether it gets a video or pictures, and
            sound; by default its host's name does, and unknown ones get a video.
        api_key_env: Name of the environment variable with the key; by default FIREWORKS_API_KEY,
            which goes to Fireworks and to this machine alone unless it is named here.
        prompt: What to ask of every clip; by default the job file's, or to describe what happens in
            it.
        max_tokens: Longest caption, in tokens; 1000 by default.
        temperature: Sampling temperature, 0 to 2; 0.3 by default.
        stream: Stream answers, which measures the time to the first token; off by default.
        max_in_flight: Ceiling of requests in flight, for each deployment; 32 by default.
        workers: Worker processes that prepare clips; by default one for each core, as far as
            there is memory for them.
        sampling: Which frames to take: those of ffmpeg's fps=1 (exact, the default), or the
            cheapest of each second.
        segments: What of a film is captioned: its first minute (max_seconds; first, the default),
            or all of it, in windows of that length, each a clip with its own line.
        identity: What makes a file the same: stat, its path, size and change time, the default; or
            content, its bytes, so that a renamed file is not captioned again.
        relocate: OLD=NEW: the folder OLD lies at NEW today, and its files keep their captions; by
            default none has moved.
        retry_failed: Try permanent failures again: alone all of them, =CODE those with this code;
            by default none.
        recaption: Replace captions that were made with another prompt, model or settings; they
            stay until the new ones are in.
        where: With --recaption, replace those captions alone whose lines pass, as in
            flag=degenerate, whatever request made them; repeatable, and all have to hold; by
            default there is no such limit.
        from_list: With --recaption, replace the captions of the films alone that this text file
            names, a path in each line; by default there is no such limit.
        dry_run: Say what would be done: clips by reason, footage, tokens, time; nothing is written,
            and no deployment is asked.
        list_: With --dry-run, one line for each clip that would be captioned: reason, start and end
            in seconds, path, with tabs between.
        allow_empty: A run that finds no video at all ends with 0 instead of 2.
        limit: Stop after this many clips that need a caption; by default there is no limit.
        shard: I/N, as in 0/16 to 15/16: caption only the files of this share of the sources; by
            default all.
        deadline: Stop starting clips at this local time, as in 06:00; by default never.
        max_hours: Stop starting clips after this many hours; by default never.
        max_failures: Stop when so many clips have failed, as in 50, or as in 5% (of at least 20);
            by default never.
        max_tokens_total: Stop starting clips after so many tokens, in and out; by default never.
        drain_s: Seconds that an early end waits for what is in flight; 60 by default.
        timeout_s: Seconds that one request may take; 300 by default.
        store: Folder for prepared media, reused by later runs; by default captionfleet/media in
            the user's cache folder.
        metrics_port: Serve figures for Prometheus on this port of this machine while it lasts; by
            default on none.
        log_json: Log JSON lines to stderr, progress included.
        quiet: No progress and no summary: errors, and one line at the end.
        verbose: All figures at the end: latencies by percentile, tokens, what finished how.
        known_failures_ok: Exit with 0 where no clip failed but those that stood failed before.
    """
    flags: dict[str, dict[str, object]] = {
        "input": {
            "sources": list(sources) or None,
            "allow_empty": allow_empty or None,
            "limit": limit,
            "shard": shard,
            "identity": identity,
            "segments": segments,
            "relocate": relocate,
            "retry_failed": retry_failed,
        },
        "limits": {
            "deadline": deadline,
            "max_hours": max_hours,
            "max_failures": max_failures,
            "max_tokens_total": max_tokens_total,
            "drain_s": drain_s,
        },
        "media": {"sampling": sampling},
        "workers": {"processes": workers},
        "store": {"dir": store},
        "metrics": {"port": metrics_port},
        "request": {
            "prompt": prompt,
            "max_tokens": max_tokens,
            "temperature": temperature,
            "stream": stream,
            "timeout_s": timeout_s,
        },
        "output": {
            "dir": out,
            "recaption": recaption or None,
            "recaption_where": where,
            "recaption_list": from_list,
        },
    }
    each = {"server": server, "api_key_env": api_key_env, "max_in_flight": max_in_flight}
    settled = job_from_flags(
        job, flags, base_urls=base_url or (), models=model or (), each_deployment=each
    )
    if job is None and out is None:
        raise ConfigError("--out DIR: where should the captions go?")
    if list_ and not dry_run:
        raise ConfigError("--list: it belongs to --dry-run")
    if dry_run:
        return _rehearse(settled, lists=list_)
    show = _Shown(quiet=quiet, verbose=verbose, log_json=log_json)
    return _caption(settled, each, show, known_failures_ok=known_failures_ok)


@app.command(help_epilogue=examples("prepare"))
def prepare(
    *sources: Path,
    out: Path,
    job: Path | None = None,
    workers: int | None = None,
    sampling: Literal["exact", "fast"] | None = None,
    segments: Literal["first", "all"] | None = None,
    limit: int | None = None,
    store: Path | None = None,
    quiet: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Do the media step alone, to look at what would be sent.

    Writes NAME.mp4, NAME.ogg and NAME.json (the facts, or the code of a clip that cannot be
    prepared); NAME is the source's relative path with its ending, as in beach.mov.mp4.

    Args:
        sources: Files, folders and lists of either, as for run; they replace the job file's.
        out: Output folder, made if missing; none of the sources, and in none of them.
        job: Job file (TOML), for its [input], [media], [workers] and [store]; by default there is
            none.
        workers: Worker processes that prepare clips; by default one for each core, as far as there
            is memory for them.
        sampling: Which frames to take: those of ffmpeg's fps=1 (exact, the default), or the
            cheapest of each second.
        segments: What to prepare of a film: its first window (the default), or all of them; those
            after the first are called by where they begin, as in beach.mov@00060.00.mp4.
        limit: Stop after so many clips; by default there is no limit.
        store: Folder for prepared media, reused by later runs; by default captionfleet/media in the
            user's cache folder.
        quiet: No progress.
    """
    from captionfleet.prepare import prepare_job  # noqa: PLC0415 - --help need not wait for it

    flags: dict[str, dict[str, object]] = {
        "input": {"sources": list(sources) or None, "limit": limit, "segments": segments},
        "media": {"sampling": sampling},
        "workers": {"processes": workers},
        "store": {"dir": store},
    }
    settled = job_from_flags(job, flags)
    configure_logging()
    do_not_wait_for_readers()

    async def main() -> int:
        summary = await prepare_job(settled, out, progress=None if quiet else sys.stderr)
        print(f"captionfleet: {summary.prepared:,} prepared, {summary.failed:,} failed")
        return int(summary.failed > 0)

    return anyio.run(main)


@app.command(help_epilogue=examples("demo"))
def demo(folder: Path | None = None, /, *, out: Path = Path("demo")) -> int:
    """Show the whole pipeline on sample clips or on ten of your own, without an account.

    Makes a handful of small clips, starts two stand-in deployments on this machine, captions
    the clips through them and prints the summary and five captions. One clip is damaged and is
    reported as what it is. The stand-ins only measure what they are sent; a model writes prose.

    Args:
        folder: Videos of your own, of which the first ten clips are taken; they are only read. By
            default clips are made.
        out: Folder for the clips and the captions.
    """
    from captionfleet.demo import run_demo  # noqa: PLC0415 - the other commands need not wait for it

    configure_logging()
    do_not_wait_for_readers()
    return anyio.run(run_demo, out, folder)


@app.command(help_epilogue=examples("failures"))
def failures(
    folder: Path,
    *,
    code: FailureCode | None = None,
    paths0: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """List the clips that stand failed, by code.

    Args:
        folder: Output folder of a run.
        code: Only failures with this code; by default all.
        paths0: Print the source paths alone, each ended by a NUL, for other programs.
    """
    from captionfleet.ledger.standing import failures_text, read_standing  # noqa: PLC0415 - as above

    found = read_standing(folder, code)
    if paths0:
        paths = dict.fromkeys(one.path for one in found if one.path is not None)
        sys.stdout.buffer.write(b"".join(path + b"\0" for path in paths))
    else:
        print(failures_text(found))
    return 0


app.command(
    "captionfleet.schema:schema_command",
    name="schema",
    help_epilogue=examples("schema"),
    help="""Print what a line of captions.jsonl or failures.jsonl holds, for its readers.

    Every key stands in every line, with a value whose type never changes. The forms: JSON Schema,
    a pyarrow schema (Python), and a view for DuckDB.
    """,
)
app.command(
    "captionfleet.merge.command:merge_command",
    name="merge",
    help_epilogue=examples("merge"),
    help="""Join the output folders of shards, and prove what holds of every one.

    One line a clip, and no request mixed with another: folders of different requests are refused.
    What does not fit is named: runs that did not end, shards that are missing, lines that name no
    clip. What --out holds already stays, so shards that were run again are merged again. The files
    are replaced whole or not at all.

    Exit codes: 0 all fits; 1 something does not, and is named; 2 the folders cannot be one; 3 a
    folder is in use, or cannot be read or written.
    """,
)
app.command(
    "captionfleet.plan.command:plan_command",
    name="plan",
    help_epilogue=examples("plan"),
    help="Say what a library will take: replicas, cores, hours, tokens and dollars.",
)
app.command(
    "captionfleet.check.command:check_command",
    name="check",
    help_epilogue=examples("check"),
    help="""Check everything that can be known before a job is paid for.

    Job file, output folder, sources, keys, reachability and models; then each deployment is asked
    about three small clips with known content, which shows whether it keeps all frames, sees them
    upright and hears the sound; and an estimate of tokens and cost. Nothing is written.

    Exit codes: 0 nothing speaks against a run; 1 something does, as frames or sound that a server
    drops; 2 the job file, the arguments or the environment is wrong; 3 the output cannot be read;
    4 no deployment can be used.
    """,
)
app.command(
    "captionfleet.standin.command:serve_command",
    name="serve",
    help_epilogue=examples("serve"),
    help="""Serve a stand-in deployment, for tests of this program or of yours.

    It speaks the chat-completions protocol of a dedicated deployment under /v1 and /inference/v1,
    decodes the video and audio it is sent, refuses what the real service refuses, and answers
    with a caption made from what it saw and heard. The first line on stdout is its base URL.
    GET /stats tells what it was asked.
    """,
)

app.command(
    "captionfleet.bench.command:bench_command",
    name="bench",
    help_epilogue=examples("bench"),
    help="""Measure what deployments take: throughput, latency, and the knee between them.

    Sends real media, a sample of the sources or else generated clips, to one deployment after
    the other. Without --in-flight it seeks the knee: the fewest requests in flight that bring
    95 % of the best rate. A load's warm-up is left out; it goes on until its rate is steady.
    Requests cost what they cost: nothing is retried, and every request is a real one.
    """,
)

app.command(
    "captionfleet.report.command:report_command",
    name="report",
    help_epilogue=examples("report"),
    help="""Write report.html: what a run did, and what its clips looked, sounded and read like.

    One file that needs no network: the captions beside the frames that were sent, with search over
    all of them; then totals, what the time went into, failures. Reads only; a run may be going on
    meanwhile.
    """,
)

app.command(
    "captionfleet.export.command:export_command",
    name="export",
    help_epilogue=examples("export"),
    help="""Write captions as other programs take them: text files, tables, subtitles, datasets.

    One caption for each clip whose film is there and unchanged, worded as [caption] says. Files
    that no export wrote are never written over. Begun again after a kill, it ends the same.
    """,
)

app.command(
    "captionfleet.prune:prune_command",
    name="prune",
    help_epilogue=examples("prune"),
    help="""Take lines of films that are gone or changed out of captions.jsonl; shows them first.

    They go to pruned.jsonl beside it, so nothing that was paid for is lost.
    """,
)

app.command(
    "captionfleet.deployment.command:deployment",
    name="deployment",
    help="Create, watch, scale and delete dedicated deployments through the control plane.",
)


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a run prints."""

    quiet: bool
    verbose: bool
    log_json: bool


def _rehearse(job: JobConfig, *, lists: bool) -> int:
    from captionfleet.check.rehearsal import rehearse  # noqa: PLC0415 - as below

    configure_logging(as_json=False, quiet=False)
    do_not_wait_for_readers()

    def show(reason: str, clip: Clip) -> None:
        place = f"{clip.start_s:g}\t{clip.end_s:g}\t{for_terminal(printable(clip.source.path))}"
        print(f"{reason}\t{place}")

    found = anyio.run(rehearse, job, show if lists else None)
    print(found.text(), file=sys.stderr if lists else sys.stdout)
    return 0


def _caption(job: JobConfig, each: dict[str, Any], show: _Shown, *, known_failures_ok: bool) -> int:
    from captionfleet.deployment.discovery import with_deployments  # noqa: PLC0415 - as below
    from captionfleet.run import run_job  # noqa: PLC0415 - --help need not wait

    if job.output.report:
        # Not as late as it is needed: until then the installation may have been upgraded.
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
        exit_code = summary.exit_code_of_news if known_failures_ok else summary.exit_code
        if job.export and summary.ended != "signal":
            exports, problem = await to_thread.run_sync(exports_of_run, job)
            exit_code = exit_code or problem
            if not show.quiet:
                print("\n".join(exports))
        print(summary.mail_line())
        return exit_code

    return anyio.run(main)
