"""Registers all commands, and turns their errors into one line and an exit code (main process)."""

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
    """Run one command; each error that the user can fix is one line on stderr."""
    try:
        with machine_errors():
            result = app(
                _spelled_out(arguments),
                exit_on_error=False,
                print_error=False,
                result_action="return_value",  # cyclopts would exit before stdout is finished
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
    """Rewrite the spellings that the parser does not know.

    `help COMMAND` becomes `COMMAND --help`; `--retry-failed`, which needs a value,
    `--retry-failed=all`; and `-`, which it takes for a flag, the path `./-`.
    """
    if list(arguments[:1]) == ["help"]:
        arguments = [*arguments[1:], "--help"]
    until = arguments.index("--") if "--" in arguments else len(arguments)
    spelled = {"--retry-failed": "--retry-failed=all", "-": "./-"}
    named = [spelled.get(word, word) for word in arguments]
    return [*named[:until], *arguments[until:]]


def _complain(words: str) -> None:
    """Print one line, with control characters in file names made harmless."""
    print(f"captionfleet: {for_terminal(words)}", file=sys.stderr)


app.command(run, help_epilogue=examples("run"))
app.command(prepare, help_epilogue=examples("prepare"))
app.command(demo, help_epilogue=examples("demo"))
app.command(failures, help_epilogue=examples("failures"))
app.command(
    "captionfleet.schema:schema_command",
    name="schema",
    help_epilogue=examples("schema"),
    help="""Print the keys of a line of captions.jsonl or failures.jsonl, with types and meanings.

    Every key is in every line, with a value whose type never changes. Formats: JSON Schema, a
    pyarrow schema (Python), and a view for DuckDB.
    """,
)
app.command(
    "captionfleet.merge.command:merge_command",
    name="merge",
    help_epilogue=examples("merge"),
    help="""Join the output folders of shards into one, and check the result.

    Keeps one line for each clip. Refuses folders whose captions come from different requests. Lists
    what is incomplete: runs that did not end, missing shards, lines that name no clip. Existing
    lines of --out stay, so shards that ran again can be merged again. Files are replaced as a whole
    or not at all.

    Exit codes: 0 complete; 1 something is incomplete, and listed; 2 the folders cannot be merged;
    3 a folder is in use, or cannot be read or written.
    """,
)
app.command(
    "captionfleet.plan.command:plan_command",
    name="plan",
    help_epilogue=examples("plan"),
    help="Estimate replicas, cores, hours, tokens and dollars for a library.",
)
app.command(
    "captionfleet.check.command:check_command",
    name="check",
    help_epilogue=examples("check"),
    help="""Check a job before anything is paid for.

    Checks the job file, output folder, sources, keys, and whether each deployment can be reached
    and serves the model. Then asks each deployment about three small clips with known content,
    which shows whether it keeps all frames, sees them upright and hears the sound. Ends with an
    estimate of tokens and cost. Writes nothing.

    Exit codes: 0 ready to run; 1 a problem was found, such as a server that drops frames or sound;
    2 the job file, the arguments or the environment is wrong; 3 the output cannot be read; 4 no
    deployment can be used.
    """,
)
app.command(
    "captionfleet.standin.command:serve_command",
    name="serve",
    help_epilogue=examples("serve"),
    help="""Serve a stand-in deployment, for tests of this program or of yours.

    It serves the chat-completions protocol of a dedicated deployment under /v1 and /inference/v1,
    decodes the video and audio of each request, refuses what the real service refuses, and answers
    with a caption of what it saw and heard. The first line on stdout is its base URL. GET /stats
    returns the requests that it got.
    """,
)

app.command(
    "captionfleet.bench.command:bench_command",
    name="bench",
    help_epilogue=examples("bench"),
    help="""Measure deployments: throughput, latency, and the best number of requests in flight.

    Sends a sample of the sources, or else generated clips, to one deployment after the other.
    Without --in-flight it searches for the knee: the fewest requests in flight that reach 95 % of
    the best rate. Each load is measured from the end of its warm-up until its rate is steady. Every
    request is a real one and costs money; none is retried.
    """,
)

app.command(
    "captionfleet.report.command:report_command",
    name="report",
    help_epilogue=examples("report"),
    help="""Write report.html: captions with the frames and the sound that were sent, and figures.

    One file that needs no network: captions beside the frames that were sent, with search over all
    of them; then totals, where the time went, and failures. It only reads, so it also works while
    a run writes to the folder.
    """,
)

app.command(
    "captionfleet.export.command:export_command",
    name="export",
    help_epilogue=examples("export"),
    help="""Export captions for other programs: text files, tables, subtitles, datasets.

    Writes one caption for each clip whose film still exists unchanged, in the form that [caption]
    sets. Never overwrites a file that no export wrote. After a kill, the same command completes it.
    """,
)

app.command(
    "captionfleet.prune:prune_command",
    name="prune",
    help_epilogue=examples("prune"),
    help="""Remove captions of gone or changed films from captions.jsonl; lists them first.

    The lines move to pruned.jsonl beside it, so no paid caption is lost.
    """,
)

app.command(
    "captionfleet.deployment.command:deployment",
    name="deployment",
    help="Create, watch, scale and delete dedicated deployments through the control plane.",
)
