"""What the command says of itself."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from cyclopts import App
from cyclopts.argument import Argument

from captionfleet.cli import app
from captionfleet.config.sections.asking import LimitsConfig, RequestConfig
from captionfleet.config.sections.deployment import DeploymentConfig
from captionfleet.config.sections.export import ExportConfig
from captionfleet.examples import examples
from tests.support.command import CommandHere

# Words by which a text says what holds without the option.
_DEFAULT = re.compile(r"\bdefault\b|\b[Ww]ithout\b")
# Units of what a number may count or measure.
_UNITS = re.compile(
    r"\b(seconds?|hours|tokens?|clips|requests?|replicas?|cores|processes|dollars|megabytes|bytes"
    r"|GPUs?|port|degrees|fraction|factor|temperature|characters|files|number)\b",
    re.IGNORECASE,
)
# What the job file's sections say holds without the flag.
_OF_THE_JOB = {
    "--max-tokens": RequestConfig.model_fields["max_tokens"].default,
    "--temperature": RequestConfig.model_fields["temperature"].default,
    "--timeout-s": RequestConfig.model_fields["timeout_s"].default,
    "--drain-s": LimitsConfig.model_fields["drain_s"].default,
    "--shard-clips": ExportConfig.model_fields["shard_clips"].default,
    "--extension": ExportConfig.model_fields["extension"].default,
}
_OF_RUN = {"--max-in-flight": DeploymentConfig.model_fields["max_in_flight"].default}


def commands(of: App = app, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], App]]:
    """Every command that does something, by its words."""
    for name in of:
        if name.startswith("-"):
            continue
        one = of[name]
        if one.default_command is None:
            yield from commands(one, (*path, name))
        else:
            yield (*path, name), one


COMMANDS = dict(commands())


def options(one: App) -> list[Argument]:
    """The options of a command that its help shows."""
    found = one.assemble_argument_collection(parse_docstring=True)
    return [argument for argument in found if argument.show and argument.name.startswith("--")]


def kind_of(argument: Argument) -> str:
    """The type of its value, whether or not it may be left out."""
    said = re.sub(r"<class '(.*)'>|typing\.Optional\[(.*)\]", r"\1\2", str(argument.hint))
    return said.removesuffix(" | None")


def is_number(argument: Argument) -> bool:
    """Whether it takes one number or several."""
    return bool(re.search(r"\b(int|float)\b", str(argument.hint)))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_two_examples_that_parse(path: tuple[str, ...], here: CommandHere) -> None:
    """The help of every command ends with two command lines that the program understands."""
    lines = re.findall(r"^    captionfleet (.+)$", examples(" ".join(path)), re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        command, bound, _ = app.parse_args(line.split(), exit_on_error=False, print_error=False)
        assert command is COMMANDS[path].default_command
        assert bound.arguments or line == " ".join(path)
    said = here(*path, "--help")
    assert said.exit_code == 0
    assert f"captionfleet {lines[0]}" in " ".join(said.stdout.split())  # it may be wrapped


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_says_its_default_and_unit(path: tuple[str, ...]) -> None:
    """What holds without an option is shown, or said; a number says what it counts or measures."""
    for argument in options(COMMANDS[path]):
        said, default = argument.parameter.help or "", argument.field_info.default
        where = f"{' '.join(path)} {argument.name}: {said}"
        assert said, where
        is_shown = default not in {None, "", ()}  # cyclopts appends [default: …], or [required]
        assert is_shown or _DEFAULT.search(said), where
        assert not is_number(argument) or _UNITS.search(said), where


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_default_that_is_said_is_the_job_files(path: tuple[str, ...]) -> None:
    """Numbers in the help of flags that override the job file are those of its sections."""
    known: dict[str, Any] = _OF_THE_JOB | (_OF_RUN if path == ("run",) else {})
    for argument in options(COMMANDS[path]):
        if argument.name in known and argument.field_info.default is None:
            said = str(known[argument.name]).removesuffix(".0")
            assert f"{said} by default" in (argument.parameter.help or ""), argument.name


def test_the_same_thing_has_the_same_name() -> None:
    """An option of a name takes the same kind of value everywhere, and seconds end in -s."""
    kinds: dict[str, set[str]] = {}
    for path, one in COMMANDS.items():
        for argument in options(one):
            kinds.setdefault(argument.name, set()).add(kind_of(argument))
            said = argument.parameter.help or ""
            if is_number(argument) and re.search(r"\bSeconds\b", said):
                assert re.search(r"-s(econds)?$", argument.name), (path, argument.name)
    differing = {name: found for name, found in kinds.items() if len(found) > 1}
    # run takes a model for each deployment, `deployment create` makes one deployment.
    assert differing.keys() <= {"--model"}, differing


def test_help_by_a_word_and_the_version_by_a_letter(here: CommandHere) -> None:
    """`captionfleet help run` and `-V` are what people type."""
    assert here("help", "failures").stdout == here("failures", "--help").stdout
    assert here("help").stdout == here("--help").stdout
    assert here("-V").stdout == here("--version").stdout


@pytest.mark.parametrize(
    ("words", "meant"),
    [("rnu videos", "run"), ("run --quite", "--quiet"), ("deployment crate", "create")],
)
def test_a_slip_is_answered_by_what_was_meant(words: str, meant: str, here: CommandHere) -> None:
    """Commands and options alike."""
    ended = here(*words.split())
    assert ended.exit_code == 2
    assert "Did you mean" in ended.complaint
    assert meant in ended.complaint
