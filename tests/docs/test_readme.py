"""The documents say what is so: its example runs, and nothing that users meet is left out."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from captionfleet.cli import app, run_command_line
from captionfleet.config import DeploymentConfig, JobConfig
from captionfleet.errors import (
    ConfigError,
    DeploymentError,
    FailureCode,
    LimitReached,
    MachineError,
    OutputError,
    RunError,
)
from captionfleet.ledger.format.schema_forms import Form, LineFile, schema_text
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import Command
from tests.support.job_file import write_job
from tests.support.output import Output, check_provenance
from tests.support.tiny_films import write_tiny_films

ROOT = Path(__file__).parents[2]
PAGES = {
    page: (ROOT / page).read_text()
    for page in (
        "README.md",
        "jobs/README.md",
        "pipeline/README.md",
        "docker/README.md",
        "benchmarks/README.md",
        "tests/README.md",
    )
}
DOCS = "\n".join(PAGES.values())
MOST_LINES = 200  # of the front page
# What the documents' job file sets because there is no default, or none that fits on a page.
CHOSEN = {
    ("input", "sources"),
    ("input", "include"),
    ("workers", "processes"),
    ("workers", "memory_bytes"),  # the share of 4 workers in 4 GiB
    ("deployments", "name"),
    ("deployments", "base_url"),
    ("deployments", "model"),
    ("deployments", "api_key_env"),
}


def fenced(language: str) -> list[str]:
    """The code blocks of a language in all pages."""
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCS, re.DOTALL | re.MULTILINE)


def run_flags() -> list[str]:
    """Every flag of the run command, as it is typed."""
    arguments = app["run"].assemble_argument_collection()
    names = (argument.names[0] for argument in arguments if argument.names)
    return [name for name in names if name.startswith("--")]


def known_keys() -> dict[tuple[str, str], Any]:
    """Every key of the job file, by section and name, with its default."""
    sections = {name: field.annotation for name, field in JobConfig.model_fields.items()}
    sections["deployments"] = DeploymentConfig
    return {
        (section, name): field.default
        for section, table in sections.items()
        if isinstance(table, type) and issubclass(table, BaseModel)
        for name, field in table.model_fields.items()
    }


def shown_keys() -> dict[tuple[str, str], Any]:
    """Every key of the documents' job file with its value."""
    (example,) = fenced("toml")
    JobConfig.model_validate(tomllib.loads(example))
    tables = {
        section: content[0] if isinstance(content, list) else content
        for section, content in tomllib.loads(example).items()
    }
    return {
        (section, name): value for section, table in tables.items() for name, value in table.items()
    }


@pytest.mark.anyio
async def test_python_examples_run(tmp_path: Path) -> None:
    """Each example captions a folder of videos when it is run as it stands."""
    example, streamed = fenced("python")
    write_tiny_films(tmp_path / "videos", 2)
    async with serving(StandinOptions()) as standin:
        assert "http://127.0.0.1:8000/v1" in example
        script = example.replace("http://127.0.0.1:8000/v1", standin.base_url)
        (tmp_path / "example.py").write_text(script)
        ended = await Command(tmp_path, ("example.py",))()
        check_provenance(Output(tmp_path / "captions").captions, standin)
        tables = {"input": {"sources": ["videos"]}, "output": {"dir": "streamed"}}
        write_job(tmp_path / "job.toml", standin, tables=tables)
        (tmp_path / "streamed.py").write_text(streamed)
        again = await Command(tmp_path, ("streamed.py",))()
    assert (ended.exit_code, ended.stderr, ended.stdout) == (0, "", "2 clips captioned\n")
    lines = Output(tmp_path / "streamed").captions
    assert (again.exit_code, again.stderr) == (0, "")
    assert all(f"{line['path']} {line['caption']}" in again.stdout for line in lines)
    assert len(lines) == 2


def test_shell_examples_parse() -> None:
    """Every command line in the documents is one that the program understands."""
    joined = DOCS.replace("\\\n", " ")
    lines = re.findall(r"^    captionfleet (.+)$", joined, re.MULTILINE)
    assert lines
    for line in lines:
        app.parse_args(shlex.split(line, comments=True), exit_on_error=False, print_error=False)


def test_commands_and_flags_are_told() -> None:
    """Every command, and every flag of run, is in the documents."""
    commands = [name for name in app if not name.startswith("-")]
    assert "run" in commands
    missing = [name for name in commands if f"`captionfleet {name}" not in DOCS]
    flags = run_flags()
    assert "--max-in-flight" in flags
    missing += [flag for flag in flags if not re.search(rf"`{flag}[ `]", DOCS)]
    assert missing == []


def test_help_says_what_each_command_does(capsys: pytest.CaptureFixture[str]) -> None:
    """No command stands in the list without a word about it."""
    assert run_command_line(["--help"]) == 0
    told = dict(re.findall(r"^│ (\w+) +(.*?) +│$", capsys.readouterr().out, re.MULTILINE))
    assert [name for name in app if not name.startswith("-") and not told.get(name)] == []


def test_failure_codes_are_told() -> None:
    """The table of failure codes is the program's own, word for word."""
    rows = [
        f"| `{code.value}` | {'yes' if code.permanent else 'no'} | {code.meaning} |"
        for code in FailureCode
    ]
    assert [row for row in rows if row not in DOCS] == []


def test_output_example_is_a_line() -> None:
    """The example has every key of a captions line, in order, with a value of its type."""
    (example,) = (json.loads(text) for text in fenced("json") if '"caption"' in text)
    schema = json.loads(schema_text(LineFile.CAPTIONS, Form.JSON_SCHEMA))

    assert [*Draft202012Validator(schema).iter_errors(example)] == []
    assert list(example) == schema["required"]
    for name, value in example.items():
        if isinstance(value, dict):
            assert list(value) == schema["properties"][name]["required"]


def test_keys_of_a_failure_are_told() -> None:
    """The list of a failures line's keys is complete."""
    described = PAGES["pipeline/README.md"].partition("A failures line has")[2].partition("\n\n")[0]
    schema = json.loads(schema_text(LineFile.FAILURES, Form.JSON_SCHEMA))
    assert re.findall(r"`(\w+)`", described) == schema["required"]


def test_exit_codes_are_told() -> None:
    """Every exit code has its row in the documents."""
    errors = (RunError, ConfigError, OutputError, DeploymentError, LimitReached, MachineError)
    codes = {"0", "129", "130", "143"} | {str(error.exit_code) for error in errors}
    cells = re.findall(r"^\| ([\d, ]+) \|", PAGES["pipeline/README.md"], re.MULTILINE)
    assert {code for cell in cells for code in cell.split(", ")} == codes


def test_keys_of_the_job_file_are_told() -> None:
    """Every key of the job file is in the documents' example, or named with its section."""
    shown = shown_keys()
    missing = [
        f"[{section}] {name}"
        for section, name in known_keys()
        if (section, name) not in shown
        and not (f"`{name}`" in DOCS and re.search(rf"\[{section}\]", DOCS))
    ]
    assert missing == []


def test_job_file_shows_the_defaults() -> None:
    """The documents' job file is valid, and its values are the defaults it says they are."""
    known = known_keys()
    differing = {
        key: value
        for key, value in shown_keys().items()
        if key not in CHOSEN and value != _as_toml(known[key])
    }
    assert differing == {}


def _as_toml(default: Any) -> Any:
    if isinstance(default, tuple):
        return list(default)
    return str(default) if isinstance(default, Path) else default


def anchor(heading: str) -> str:
    """The name that a heading goes by in links."""
    return re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """The names of all headings of a page."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return {anchor(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Every file and every heading that a page links to is there."""
    links = re.findall(r"\]\(([^)\s]+)\)", PAGES[page])
    broken = []
    for link in (link for link in links if "://" not in link):
        name, _, heading = link.partition("#")
        there = (ROOT / page).parent / name if name else ROOT / page
        is_there = there.exists() and (not heading or heading in anchors(there))
        broken += [] if is_there else [link]
    assert broken == []


def test_front_page_is_short() -> None:
    """The front page is read in one go; the rest stands behind links."""
    assert len(PAGES["README.md"].splitlines()) <= MOST_LINES
