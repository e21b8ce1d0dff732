"""Sums the footage that single windows leave out of films; pure (main process)."""

from typing import Any

from captionfleet.ledger.files.reading import flags_in, number_in, table_in, text_in
from captionfleet.sink.footage import CUT_TO_WINDOW

__all__ = ["Footage"]

_MOST_REQUESTS = 64  # a job has few; a damaged file may name as many as it has lines


class Footage:
    """Sums over captions lines; 100 bytes for each film with several windows or a cut one.

    A film whose other windows were captioned later no longer counts as cut.
    """

    def __init__(self) -> None:
        self._covered_s: dict[str, float] = {}  # by request, as each has a line for a clip
        self._rest_s: dict[int, float] = {}
        self._continued: set[int] = set()

    def add(self, record: dict[str, Any]) -> None:
        """Count one captions line."""
        start_s, end_s = (number_in(record, key) or 0.0 for key in ("start_s", "end_s"))
        source_s = number_in(table_in(record, "media"), "source_s") or 0.0
        request = text_in(record, "request")
        if request in self._covered_s or len(self._covered_s) < _MOST_REQUESTS:
            covered_s = max(0.0, min(end_s, source_s) - start_s)
            self._covered_s[request] = self._covered_s.get(request, 0.0) + covered_s
        film = _film(record)
        if CUT_TO_WINDOW in flags_in(record):
            self._rest_s[film] = max(0.0, source_s - end_s)
        elif start_s > 0:
            self._continued.add(film)

    def current(self, record: dict[str, Any], flags: list[str]) -> list[str]:
        """A line's flags, without `cut_to_window` if later windows of its film have lines.

        Must be called after all lines are counted.
        """
        if _film(record) not in self._continued:
            return flags
        return [flag for flag in flags if flag != CUT_TO_WINDOW]

    @property
    def films_cut(self) -> int:
        """Films that go on after their only captioned window."""
        return len(self._rest_s.keys() - self._continued)

    @property
    def left_out(self) -> float:
        """The share of all footage that lies beyond the windows of these films."""
        cut = self._rest_s.keys() - self._continued
        rest_s = sum(self._rest_s[film] for film in cut)
        covered_s = max(self._covered_s.values(), default=0.0)
        return rest_s / (covered_s + rest_s) if rest_s else 0.0


def _film(record: dict[str, Any]) -> int:
    return hash(text_in(record, "path") or text_in(record, "source"))
