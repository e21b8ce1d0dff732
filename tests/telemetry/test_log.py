"""The log as people read it."""

import pytest

from captionfleet.telemetry import configure_logging, get_log


def test_no_value_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A file's name in a warning adds no line and no escape sequence."""
    configure_logging()
    get_log().warning("clip left out", source="a\x1b[31m\n.mp4")
    told = capsys.readouterr().err
    assert r"source=a\x1b[31m\n.mp4" in told
    assert told.count("\n") == 1
