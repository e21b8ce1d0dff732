"""What follows from a failed request, by status and code alone."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.errors import FailureCode
from captionfleet.sender.routing.verdict import (
    MAX_RETRY_AFTER_S,
    classify,
    judge,
    one_line,
    retry_after_s,
)

C = FailureCode


def flags(status: int, code: str | None = None) -> tuple[FailureCode, str]:
    """The code, and a letter for each flag that is set."""
    verdict = classify(status, code, {})
    letters = {
        "R": verdict.retry,
        "A": verdict.burns_attempt,
        "S": verdict.shrinks,
        "B": verdict.blames,
        "F": verdict.fatal,
    }
    return verdict.code, "".join(letter for letter, is_set in letters.items() if is_set)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (302, (C.REJECTED, "RAF")),
        (400, (C.REJECTED, "A")),
        (401, (C.UNAUTHORIZED, "RAF")),
        (402, (C.UNAUTHORIZED, "RAF")),
        (403, (C.UNAUTHORIZED, "RAF")),
        (404, (C.MODEL_NOT_FOUND, "RAF")),
        (405, (C.REJECTED, "A")),
        (408, (C.TIMEOUT, "RAS")),
        (409, (C.SERVER_ERROR, "RA")),
        (499, (C.DISCONNECTED, "RAB")),
        (412, (C.UNAUTHORIZED, "RAF")),
        (413, (C.PAYLOAD_REFUSED, "A")),
        (422, (C.REJECTED, "A")),
        (425, (C.OVERLOADED, "RAS")),
        (429, (C.OVERLOADED, "RAS")),
        (500, (C.SERVER_ERROR, "RAB")),
        (502, (C.SERVER_ERROR, "RAB")),
        (503, (C.OVERLOADED, "RASB")),
        (504, (C.TIMEOUT, "RASB")),
        (520, (C.SERVER_ERROR, "RAB")),
        (204, (C.MALFORMED_ANSWER, "RAB")),
        (799, (C.SERVER_ERROR, "RAB")),
    ],
)
def test_status_decides(status: int, expected: tuple[FailureCode, str]) -> None:
    """Each documented status has its code and its consequences (R, A, S, B, F as above)."""
    assert flags(status) == expected


def test_scaling_up_is_a_wait() -> None:
    """503 with the documented code burns no attempt, blames nobody and shrinks nothing."""
    assert flags(503, "DEPLOYMENT_SCALING_UP") == (C.SCALING_UP, "R")
    assert flags(429, "DEPLOYMENT_SCALING_UP")[0] is C.OVERLOADED


@given(st.text(), st.sampled_from([400, 429, 503]))
def test_words_decide_nothing(message: str, status: int) -> None:
    """The server's message changes the detail and nothing else, and stays one line."""
    verdict, plain = classify(status, None, {}, message), classify(status, None, {})
    assert (verdict.code, verdict.retry, verdict.fatal) == (plain.code, plain.retry, plain.fatal)
    assert verdict.detail.isprintable()
    assert len(verdict.detail) <= 300


@given(st.integers(-10, 1200), st.none() | st.text())
def test_every_status_has_a_verdict(status: int, code: str | None) -> None:
    """No status, however absurd, is without a verdict."""
    assert classify(status, code, {}).status == status


DATE = "Sun, 22 Nov 2026 06:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 0),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Sun, 22 Nov 2026 06:00:09 GMT", "date": DATE}, 9),
        ({"retry-after": "Sun, 22 Nov 2026 05:00:00 GMT", "date": DATE}, 0),
        ({"llm_provider-retry-after": "7"}, 7),
        ({"llm_provider-retry-after": "7", "retry-after": "3"}, 3),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "inf"}, MAX_RETRY_AFTER_S),
        ({"retry-after": "nan"}, 0),
        ({"retry-after": "9" * 400}, MAX_RETRY_AFTER_S),
        ({"retry-after": "soon"}, 0),
    ],
)
def test_retry_after_is_read_and_bounded(headers: dict[str, str], expected: float) -> None:
    """Seconds, milliseconds and dates are understood; absurd wishes are bounded."""
    assert retry_after_s(headers) == expected


@pytest.mark.parametrize("date", [{}, {"date": "yesterday"}])
def test_a_date_alone_counts_from_the_own_clock(date: dict[str, str]) -> None:
    """An HTTP date is a wish also where the server does not say what time it has."""
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    past = format_datetime(datetime.now(UTC) - timedelta(seconds=60), usegmt=True)
    assert 0 < retry_after_s({"retry-after": soon} | date) <= 60
    assert retry_after_s({"retry-after": past} | date) == 0


def test_a_status_is_said_once() -> None:
    """A status that is repeated as error.code, as vLLM does, is no news; other codes are."""
    assert classify(400, "400", {}, "no").detail == "HTTP 400: no"
    assert classify(400, "bad", {}, "no").detail == "HTTP 400 bad: no"


@given(st.text(), st.text())
def test_hostile_retry_after_stays_in_bounds(wish: str, date: str) -> None:
    """No header can make a clip wait longer than the bound, or raise."""
    assert 0 <= retry_after_s({"retry-after": wish, "date": date}) <= MAX_RETRY_AFTER_S


@given(st.text(st.characters()), st.integers(2, 50))
def test_one_line_is_one_printable_line(text: str, limit: int) -> None:
    """Foreign text comes out printable, on one line and no longer than allowed."""
    line = one_line(text, limit)
    assert line.isprintable()
    assert len(line) <= limit
    line.encode()


def test_a_changed_file_is_nobody_elses_fault() -> None:
    """A clip whose prepared media changed is not sent again and blames no deployment."""
    verdict = judge(C.SOURCE_CHANGED, "x")
    flags = (verdict.retry, verdict.blames, verdict.shrinks, verdict.fatal)
    assert not any(flags)
