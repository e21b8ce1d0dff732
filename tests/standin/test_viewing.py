"""Servers that do not see all that they are sent: what the stand-in then keeps, tells and reads."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from captionfleet.standin.senses.perception import look
from captionfleet.standin.senses.reading import bright_corner, read_digit
from captionfleet.standin.senses.viewing import FrameRule, Viewing, frames_kept
from tests.standin import media
from tests.standin.asking import asker, message

# Each digit as it stands on a clock radio, in a box of 3 by 5.
SHAPES = {
    "2": "### ..# ### #.. ###", "3": "### ..# ### ..# ###", "4": "#.# #.# ### ..# ..#",
    "5": "### #.. ### ..# ###", "6": "### #.. ### #.# ###", "7": "### ..# ..# ..# ..#",
    "9": "### #.# ### ..# ###",
}  # fmt: skip
QUESTION = "DIGITS=? CORNER=? SOUND=?"


def shown(digit: str, *, mark: tuple[slice, slice] | None = None) -> NDArray[np.uint8]:
    """A picture of 160x90 with a digit in its middle, and a mark where one is wanted."""
    picture = np.zeros((90, 160), np.uint8)
    if digit:
        shape = np.array([[c == "#" for c in row] for row in SHAPES[digit].split()])
        picture[20:70, 65:95] = np.kron(shape, np.ones((10, 10))) * 255
    if mark:
        picture[mark] = 255
    return picture


def as_film(*pictures: NDArray[np.uint8]) -> bytes:
    """These pictures, one a second."""
    return media.mp4([np.repeat(picture[..., np.newaxis], 3, axis=2) for picture in pictures])


@pytest.mark.parametrize(
    ("rule", "frames", "fps", "count", "different"),
    [
        ("all", 60, 1.0, 60, 60),
        ("32", 60, 1.0, 32, 32),
        ("32", 8, 1.0, 8, 8),
        ("2fps", 60, 1.0, 120, 60),
        ("2fps", 60, 30.0, 4, 4),
        ("2fps", 6, 0.0, 6, 6),
    ],
)
def test_frames_are_kept_by_the_rule(
    rule: FrameRule, frames: int, fps: float, count: int, different: int
) -> None:
    """A rule drops or repeats frames evenly, the first one never dropped."""
    kept = frames_kept(rule, frames, fps)
    assert (sum(kept.values()), len(kept)) == (count, different)
    assert min(kept) == 0
    assert max(kept) < frames


def test_uniform_sampling_keeps_both_ends() -> None:
    """32 frames of 60 are those that numpy's linspace names, as vLLM's loader has them."""
    assert sorted(frames_kept("32", 60, 1.0)) == list(np.linspace(0, 59, 32, dtype=int))


def test_tokens_are_those_of_what_is_kept() -> None:
    """The facts, and with them the tokens, are of the frames that the model gets to see."""
    film = media.film(frames=60)
    assert look(film).frames == 60
    assert look(film, Viewing(frames="32")).frames == 32
    doubled = look(film, Viewing(frames="2fps"))
    assert (doubled.frames, doubled.duration_s) == (120, pytest.approx(60))
    turned = look(film, Viewing(turned_deg=90))
    assert (turned.width, turned.height) == (48, 64)


@pytest.mark.parametrize("digit", SHAPES)
def test_digits_are_read_from_pixels(digit: str) -> None:
    """A digit is read the right way up, and no other way round."""
    picture = shown(digit)
    assert read_digit(picture) == digit
    assert read_digit(np.rot90(picture)) == ""
    assert read_digit(shown("")) == ""
    assert read_digit(np.rot90(picture, 2)) == {"2": "2", "5": "5", "6": "9", "9": "6"}.get(
        digit, ""
    )


def test_a_mark_is_found_in_its_corner() -> None:
    """One corner is named; two, or none, are no corner."""
    mark = np.s_[4:20, 4:20]
    assert bright_corner(shown("7", mark=mark)) == "top-left"
    assert bright_corner(shown("7", mark=np.s_[-20:-4, -20:-4])) == "bottom-right"
    both = np.maximum(shown("", mark=mark), shown("", mark=np.s_[-20:-4, 4:20]))
    assert bright_corner(both) == bright_corner(shown("7")) == ""


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({}, "DIGITS=747; CORNER=top-left; SOUND=yes"),
        ({"turned_deg": 180}, "DIGITS=none; CORNER=bottom-right; SOUND=yes"),
        ({"deaf": True}, "DIGITS=747; CORNER=top-left; SOUND=no"),
        ({"watch_media": False}, "DIGITS=none; CORNER=none; SOUND=no"),
    ],
)
async def test_a_question_is_answered_by_looking(options: dict[str, Any], line: str) -> None:
    """Who asks in the form for digits, corner and sound is told what was seen and heard."""
    mark = np.s_[4:20, 4:20]
    film = as_film(*(shown(digit, mark=mark) for digit in ("7", "7", "4", "", "7", "7")))
    body = media.body(film, media.ogg(6.0))
    body["messages"][0]["content"][-1]["text"] = QUESTION
    async with asker(**options) as one:
        _, answer = await one.ask(body)
    assert message(answer).splitlines()[0] == line


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_usage_may_be_kept_back(stream: bool) -> None:  # noqa: FBT001 -- a row of the table
    """A server that tells no usage tells it neither in the body nor in a header."""
    body = media.body(media.film(), stream=stream)
    async with asker(tells_usage=False) as one, one.asked(body) as response:
        told = await response.read()
        assert "fireworks-prompt-tokens" not in response.headers
    assert b"prompt_tokens" not in told
    assert b"sha256" in told
