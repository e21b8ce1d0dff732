"""The sources of the runs that wrote an output folder, by their run.json (main, in a thread)."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from captionfleet.ledger.files.reading import read_object, table_in

__all__ = ["past_sources"]

_MOST_RUNS = 1000  # three years of nights; the first of them found the files first


def past_sources(folder: Path) -> Iterator[str]:
    """The sources as they were named, the earliest run's first. Blocks."""
    try:
        runs = sorted((folder / "runs").glob("*.json"))
    except OSError:
        runs = []
    for path in (*islice(runs, _MOST_RUNS), folder / "run.json"):
        named = table_in(table_in(read_object(path), "settings"), "input").get("sources")
        for source in named if isinstance(named, list) else ():
            if isinstance(source, str):
                yield source
