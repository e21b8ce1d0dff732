"""Films whose media lie in a store, so that a run of them starts no worker process."""

import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import anyio
import pytest

from captionfleet.config import MediaConfig
from captionfleet.ledger.stored_media import entry_base
from captionfleet.workers.store import media_key
from tests.support.preparing import clip_of, job_of, prepared
from tests.support.shared import shared_folder
from tests.support.tiny_films import Library, shared_library


def known_library(factory: pytest.TempPathFactory) -> Library:
    """The films of this session, and a store of this process that holds the media of each."""
    films = shared_library(factory).films
    full = shared_folder(factory, "prepared", lambda folder: _fill(folder / "store", films))
    # The place that `Command.cache` looks for it.
    store = factory.mktemp("cache") / "captionfleet" / "media"
    shutil.copytree(full / "store", store, copy_function=os.link)
    return Library(films, store)


def _fill(store: Path, films: Sequence[Path]) -> None:
    anyio.run(prepared, job_of(store), [clip_of(film) for film in films])


def copy_known(library: Library, film: Path, target: Path) -> Path:
    """Copy a film of the library, and let its store know the copy as it knows the film."""
    copy = Path(shutil.copy2(film, target))
    know(library, film, copy)
    return copy


def know(library: Library, film: Path, copy: Path) -> None:
    """Let the store know a copy of a film, as it is now, as it knows the film."""
    with ThreadPoolExecutor(1) as aside:  # an async test may block, but the program may not
        known, added = aside.map(partial(_entry, library.store), (film, copy))
    added.parent.mkdir(exist_ok=True)
    for file in known.parent.glob(f"{known.name}.*"):
        added.with_suffix(file.suffix).hardlink_to(file)


def _entry(store: Path, film: Path) -> Path:
    return entry_base(store, media_key(clip_of(film), MediaConfig().spec()))
