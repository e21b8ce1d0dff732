"""Removes characters that would break files, cells and lines; pure (main process)."""

import re

__all__ = ["plain"]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def plain(text: str) -> str:
    r"""The text with `\n` for every line end, and without control characters other than tabs."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
