"""Rewrites captions.jsonl without superseded lines, or with other ids or names (main process).

Each function syncs the file first and replaces it as a whole, so that a failure leaves it
unchanged; they then raise OutputError.
"""

from captionfleet.ledger.adoption import Adoptions
from captionfleet.ledger.files.disk import AppendFile
from captionfleet.ledger.format.superseded import find_superseded
from captionfleet.ledger.renaming import Renames, renamed_lines

__all__ = ["drop_superseded", "refile", "rename"]


def drop_superseded(captions: AppendFile) -> None:
    """Drop lines whose clip has a later one of the same request."""
    captions.sync()
    superseded = find_superseded(line for _, line in captions.lines())
    if superseded:
        lines = (line for _, line in captions.lines())
        captions.rewrite(line for at, line in enumerate(lines) if at not in superseded)


def refile(captions: AppendFile, adoptions: Adoptions) -> None:
    """Give each adopted caption the current id of its file."""
    if adoptions.is_empty:
        return
    captions.sync()
    captions.rewrite(adoptions.refiled(line for _, line in captions.lines()))
    drop_superseded(captions)
    adoptions.clear()


def rename(captions: AppendFile, renames: Renames) -> None:
    """Give the lines the current names of their requests."""
    captions.sync()
    captions.rewrite(renamed_lines((line for _, line in captions.lines()), renames))
