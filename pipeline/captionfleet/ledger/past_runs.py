"""Reads and writes what a folder knows of its runs: run.json, runs/ (main process, in a thread)."""

import os
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from captionfleet.ledger.files.disk import create_folder, replace_atomically
from captionfleet.ledger.files.names import LOCK_HOLDER, RUN, RUNS
from captionfleet.ledger.files.reading import read_object, table_in, text_in

__all__ = ["job_table_in", "past_sources", "read_run", "save_run", "unended_since"]

_MOST_RUNS = 1000  # three years of nights; the first of them found the files first


def read_run(folder: Path) -> dict[str, Any]:
    """run.json of the folder's last run; empty if it is missing or not a JSON object. Blocks.

    Anyone may have edited the file: read its values with the functions of `files.reading`, which
    check types.
    """
    return read_object(folder / RUN)


def save_run(folder: Path, text: bytes, opened_at: datetime) -> None:
    """Replace run.json, and keep a copy in runs/. Blocks."""
    create_folder(folder / RUNS)
    # Two runs may begin in one second.
    began = opened_at.strftime("%Y%m%dT%H%M%S.%fZ")
    replace_atomically(folder / RUN, iter([text]))
    replace_atomically(folder / RUNS / f"{began}-{os.getpid()}.json", iter([text]))


def unended_since(folder: Path) -> str:
    """When a run began there that goes on or was killed; empty if the last one ended. Blocks.

    run.json may then be that of an earlier run.
    """
    return text_in(read_object(folder / LOCK_HOLDER), "since_utc")


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
