"""Each benchmark starts and says what it takes, and the benchmarks' page names them all."""

import re
import runpy
import sys
from pathlib import Path

import pytest

from benchmarks.suite import SUITES

FOLDER = Path(__file__).parents[2] / "benchmarks"
PAGE = (FOLDER / "README.md").read_text()
USED_BY_SUITE = {f"bench_{suite.name}": ("--json", *suite.arguments) for suite in SUITES}


def benchmarks() -> dict[str, Path]:
    """Those that have a command line of their own."""
    files = [*FOLDER.glob("*.py"), *FOLDER.glob("*/__main__.py")]
    own = [file for file in files if "ArgumentParser(" in file.read_text()]
    return {file.parent.name if file.stem == "__main__" else file.stem: file for file in own}


@pytest.mark.parametrize("name", benchmarks())
def test_benchmark_starts_and_is_documented(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It loads, `--help` ends with 0, and it has the flags that the page and the suite use."""
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(benchmarks()[name]), run_name="__main__")
    assert not ended.value.code
    help_text = capsys.readouterr().out
    shown = re.findall(rf"benchmarks\.{name}\b([^`]*)`", PAGE)
    assert shown or f"`make {name.replace('suite', 'bench')}`" in PAGE
    used = [*shown, *USED_BY_SUITE.get(name, ())]
    for flag in re.findall(r"--[a-z][a-z-]*", " ".join(used)):
        assert re.search(rf"{flag}\b", help_text), flag


def test_suites_are_benchmarks() -> None:
    """What `make bench` starts is there."""
    assert benchmarks().keys() >= USED_BY_SUITE.keys()
