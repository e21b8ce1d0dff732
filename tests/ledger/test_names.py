"""Each file that the program writes for later has one module that names and defines it."""

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from pydantic import BaseModel

import captionfleet
from captionfleet.bench.figures.point import Point
from captionfleet.bench.figures.result import BenchResult, DeploymentResult
from captionfleet.ledger.files import names
from captionfleet.ledger.format.bench_file import (
    BenchedDeployment,
    BenchedLoad,
    BenchedSeconds,
    BenchFile,
)
from captionfleet.measures import Percentiles

SOURCE = Path(captionfleet.__file__).parent
NAMES = {getattr(names, one) for one in names.__all__} - {
    names.RUNS,  # the media store has a folder of that name, too
    names.LOCK,  # and its locks such an ending
}


def texts_in(path: Path) -> Iterator[str]:
    """Every text in a module's code."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def paths_in(text: str) -> set[str]:
    """A text as the name of a file, with or without a folder."""
    return {text, text.rpartition("/")[2]} if " " not in text else set()


def test_one_module_names_the_files_of_the_output_folder() -> None:
    """A second module that spells a name is a second reader or writer: it belongs to the ledger."""
    spelt = {
        f"{path.relative_to(SOURCE)}: {text}"
        for path in SOURCE.rglob("*.py")
        for text in texts_in(path)
        if paths_in(text) & NAMES
    }
    assert {one.partition(":")[0] for one in spelt} == {"ledger/files/names.py"}, spelt


def test_one_module_says_what_a_bench_file_is() -> None:
    """Only the definition spells the kind by which a reader knows the file."""
    spelling = [
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if "captionfleet-bench" in texts_in(path)
    ]
    assert spelling == ["ledger/format/bench_file.py"]


@pytest.mark.parametrize(
    ("read", "written"),
    [
        (BenchFile, {one.name for one in fields(BenchResult)} | {"kind", "version"}),
        (BenchedDeployment, {one.name for one in fields(DeploymentResult)}),
        (BenchedLoad, {one.name for one in fields(Point)}),
        (BenchedSeconds, {one.name for one in fields(Percentiles)}),
    ],
)
def test_what_a_plan_reads_of_a_bench_is_what_the_bench_writes(
    read: type[BaseModel], written: set[str]
) -> None:
    """No key that the definition names is one that the bench never writes."""
    assert set(read.model_fields) <= written


def test_names_stay() -> None:
    """Other people's scripts, and folders of earlier versions, know the files by these."""
    assert {one: getattr(names, one) for one in names.__all__} == {
        "ADOPTED": "adopted.jsonl",
        "CAPTIONS": "captions.jsonl",
        "COPY": ".copy.json",
        "FAILURES": "failures.jsonl",
        "FILMS": "films.jsonl",
        "LEFT_ON": ".left-on",
        "LOCK": ".lock",
        "LOCK_HOLDER": ".lock-holder.json",
        "MERGE": "merge.json",
        "PRUNED": "pruned.jsonl",
        "REPORT": "report.html",
        "REQUESTS": "requests.json",
        "RUN": "run.json",
        "RUNS": "runs",
        "SAME": "same.jsonl",
        "TIMELINE": "timeline.json",
    }
