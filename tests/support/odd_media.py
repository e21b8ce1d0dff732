"""The registry of odd media: each name is a fact, each function writes a tiny file that shows it.

Tests parametrise over it: `@pytest.mark.parametrize("name", ODD)`, then `ODD[name](tmp_path)`.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from captionfleet.standin.films.film import Film, write_film
from tests.support.odd_files import FILES
from tests.support.odd_films import FILMS

Writer = Callable[[Path], Path]

# Nothing can be decoded from these, or must not be.
REFUSED = frozenset(
    {
        "moov_missing", "text_renamed", "ffconcat_renamed", "hls_renamed", "empty_file",
        "zero_streams", "zero_tracks_matroska", "bomb_gif", "bomb_30000",
    }
)  # fmt: skip


def _write(name: str, ending: str, film: Film, folder: Path) -> Path:
    return write_film(folder / f"{name}{ending}", film)


ODD: dict[str, Writer] = {
    **{name: partial(_write, name, ending, film) for name, (ending, film) in FILMS.items()},
    **{writer.__name__: writer for writer in FILES},
}
