"""Reads run.json, which says what a run did and with which settings (main process, in a thread)."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from captionfleet.ledger.files.names import RUN, RUNS
from captionfleet.ledger.files.reading import read_object, table_in

__all__ = ["job_table_in", "past_sources", "read_run"]

_MOST_RUNS = 1000  # three years of nights; the first of them found the files first


def read_run(folder: Path) -> dict[str, Any]:
    """run.json of the folder's last run; empty if it is missing or not a JSON object. Blocks.

    Anyone may have edited the file: read its values with the functions of `files.reading`, which
    check types.
    """
    return read_object(folder / RUN)


def job_table_in(run: dict[str, Any], table: str) -> dict[str, Any]:
    """One table of the job file that the run had, such as "media"; empty where it is missing."""
    return table_in(table_in(run, "settings"), table)


def past_sources(folder: Path) -> Iterator[str]:
    """The sources of all runs, as their jobs name them, in order of the runs. Blocks."""
    try:
        runs = sorted((folder / RUNS).glob("*.json"))
    except OSError:
        runs = []
    records = map(read_object, islice(runs, _MOST_RUNS))
    for record in (*records, read_run(folder)):
        named = job_table_in(record, "input").get("sources")
        for source in named if isinstance(named, list) else ():
            if isinstance(source, str):
                yield source
