"""Keeps the folders that a job writes to apart from its sources (main process)."""

import os
from pathlib import Path

from captionfleet.config import InputConfig, JobConfig
from captionfleet.errors import ConfigError
from captionfleet.ledger.stored_media import entry_base
from captionfleet.messages import MEDIA_ENDINGS, printable
from captionfleet.producer.sources import is_folder
from captionfleet.producer.walking.passed_over import Selection

__all__ = ["check_apart", "check_store_apart", "require_store_apart"]

_KEYS = tuple(digit * 40 for digit in "0123456789abcdef")  # one for each start, as examples


def check_apart(job: JobConfig) -> None:
    """Refuse an output folder that is a source, and a media store among the videos. Blocks.

    Raises:
        ConfigError: either is so.
    """
    folder = job.output.dir.resolve()
    if any(is_folder(source) and source.resolve() == folder for source in job.input.sources):
        where = printable(os.fspath(job.output.dir))
        raise ConfigError(f"{where} is a source and the output folder: choose another with --out")
    check_store_apart(job)


def check_store_apart(job: JobConfig) -> None:
    """Refuse a media store in one of the job's source folders. Blocks.

    Raises:
        ConfigError: it is in one.
    """
    for source in filter(is_folder, job.input.sources):
        require_store_apart(job, source)


def require_store_apart(job: JobConfig, source: Path) -> None:
    """Refuse a media store in a source folder: its files would be captioned as videos. Blocks.

    A store that the walk passes over is accepted: one in a hidden or excluded folder, or with
    `include` patterns that no prepared media match.

    Raises:
        ConfigError: it is in the folder.
    """
    store, folder = job.store.folder().resolve(), source.resolve()
    if store.is_relative_to(folder) and _is_taken(job.input, store.relative_to(folder)):
        where, of = (printable(os.fspath(path)) for path in (job.store.folder(), source))
        raise ConfigError(
            f"{where} is the media store, and in the source {of}: prepared media would be "
            "captioned as videos: choose a folder outside with --store or [store] dir, or exclude "
            "it"
        )


def _is_taken(config: InputConfig, store: Path) -> bool:
    """Whether a walk takes prepared media from a store at this path below its source."""
    selection = Selection.of(config)
    for base in (entry_base(store, key) for key in _KEYS):
        if selection.reaches("", base.parent.as_posix()):
            for media in map(base.with_suffix, MEDIA_ENDINGS):
                if selection.file_reason(media.name, media.as_posix()) is None:
                    return True
    return False
