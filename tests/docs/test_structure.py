"""The size of modules, functions and folders stays what one can read at a sitting."""

import ast
import re
import statistics
import tomllib
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "pipeline" / "captionfleet"
MODULES = sorted(SOURCE.rglob("*.py"))
MOST_LINES, MOST_FUNCTION_LINES, USUAL_FUNCTION_LINES, MOST_MODULES = 300, 60, 7, 14
MOST_NAMED = 30
# A page's sections, and the habits of servers: each a module that is like the others.
LARGE_FOLDERS = {"report", "standin"}


def functions() -> Iterator[tuple[str, int]]:
    """Each function with its place, and its lines."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                yield f"{path.relative_to(SOURCE)}: {node.name}", lines


def test_modules_and_functions_are_short() -> None:
    """Split what grows longer."""
    long = [path for path in MODULES if len(path.read_bytes().splitlines()) > MOST_LINES]
    assert long == []
    found = list(functions())
    assert [name for name, lines in found if lines > MOST_FUNCTION_LINES] == []
    assert statistics.median(lines for _, lines in found) <= USUAL_FUNCTION_LINES


def test_folders_are_small() -> None:
    """A room with more modules than these has inner rooms."""
    folders = {path.parent for path in MODULES if path.parent.name not in LARGE_FOLDERS}
    large = [one for one in folders if len(list(one.glob("[!_]*.py"))) > MOST_MODULES]
    assert large == []


def test_contracts_name_few_modules() -> None:
    """A module falls under the contracts by its place; only exceptions and pure rooms are named."""
    project = tomllib.loads((SOURCE.parents[1] / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    forbidding = [one for one in contracts if one["type"] == "forbidden"]  # layers name the rooms
    named = set(re.findall(r"captionfleet\.[\w.]*\w", str(forbidding)))
    assert len(named) <= MOST_NAMED, sorted(named)
