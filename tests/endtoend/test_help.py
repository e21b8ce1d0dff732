"""What the command says of itself."""

import re

import pytest

from captionfleet.cli import app
from captionfleet.examples import examples
from tests.support.command import CommandHere

COMMANDS = ("run", "prepare", "demo", "failures", "plan", "check", "serve", "bench", "report")


@pytest.mark.parametrize("name", COMMANDS)
def test_two_examples_that_parse(name: str, here: CommandHere) -> None:
    """The help of every command ends with two command lines that the program understands."""
    lines = re.findall(r"^    captionfleet (.+)$", examples(name), re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        app.parse_args(line.split(), exit_on_error=False, print_error=False)
    said = here(name, "--help")
    assert said.exit_code == 0
    assert "Examples:" in said.stdout


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
