"""The size of modules, functions and folders stays what one can read at a sitting."""

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "pipeline" / "captionfleet"
MODULES = sorted(SOURCE.rglob("*.py"))
MOST_LINES, MOST_FUNCTION_LINES, USUAL_FUNCTION_LINES, MOST_MODULES = 300, 60, 7, 14
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
