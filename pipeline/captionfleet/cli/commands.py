"""All commands, each imported when it is called, and what their errors become (main process)."""

import sys
from collections.abc import Sequence
from importlib.metadata import version

from cyclopts import App, CycloptsError

from captionfleet.cli.run import run
from captionfleet.cli.small import demo, failures, prepare
from captionfleet.errors import RunError
from captionfleet.examples import examples
from captionfleet.messages import for_terminal
from captionfleet.system.debugging import is_debugging, show_causes
from captionfleet.system.machine import machine_errors

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
        if is_debugging():
            show_causes(error)
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


app.command(run, help_epilogue=examples("run"))
app.command(prepare, help_epilogue=examples("prepare"))
app.command(demo, help_epilogue=examples("demo"))
app.command(failures, help_epilogue=examples("failures"))
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
