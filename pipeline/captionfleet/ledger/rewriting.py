"""Writes captions.jsonl once more, without lines or with other ids or names (main, a thread).

Each of these syncs the file first and replaces it as a whole, so that a failure leaves it as it
was; they raise OutputError then.
"""

from captionfleet.ledger.adoption import Adoptions
from captionfleet.ledger.files.disk import AppendFile
from captionfleet.ledger.format.superseded import find_superseded
from captionfleet.ledger.renaming import Renames, renamed_lines

__all__ = ["drop_superseded", "refile", "rename"]


def drop_superseded(captions: AppendFile) -> None:
    """Leave out the lines whose clip has a later one of the same request."""
    captions.sync()
    superseded = find_superseded(line for _, line in captions.lines())
    if superseded:
        lines = (line for _, line in captions.lines())
        captions.rewrite(line for at, line in enumerate(lines) if at not in superseded)


def refile(captions: AppendFile, adoptions: Adoptions) -> None:
    """Give each caption that was adopted the id that its file has today."""
    if adoptions.is_empty:
        return
    captions.sync()
    captions.rewrite(adoptions.refiled(line for _, line in captions.lines()))
    drop_superseded(captions)
    adoptions.clear()


def rename(captions: AppendFile, renames: Renames) -> None:
    """Give the lines the names that their requests have today."""
    captions.sync()
    captions.rewrite(renamed_lines((line for _, line in captions.lines()), renames))
