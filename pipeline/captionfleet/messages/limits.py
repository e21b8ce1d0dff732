"""Limits untrusted text in size, and makes it printable; pure (any process)."""

import os

__all__ = ["MAX_ANSWER_BYTES", "MAX_LINE_BYTES", "base64_bytes", "for_terminal", "printable"]

MAX_ANSWER_BYTES = 16 * 2**20
"""The longest answer that is read, after decompression."""
MAX_LINE_BYTES = 4 * MAX_ANSWER_BYTES
"""The longest line of the output that is read back: the line of any answer fits.

A byte of an answer makes at most three bytes of a line, where it is no UTF-8 and is replaced;
the rest is for `data`, at most 256 KiB of text, and for the facts.
"""


def printable(name: str) -> str:
    r"""A file name as valid UTF-8: invalid bytes become `\xNN`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def base64_bytes(*sizes_bytes: int) -> int:
    """The length of the base64 of files of these sizes, each by itself (RFC 4648, with padding)."""
    return sum(4 * -(-size // 3) for size in sizes_bytes)


def for_terminal(text: str) -> str:
    r"""Untrusted text for one line of a terminal: unprintable characters become `\x1b` or the like.

    Names and answers may hold line breaks, escape sequences and marks of writing direction.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
