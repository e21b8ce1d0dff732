"""Clips whose content is known: what they show, and what answers about them mean."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.check.canary import QUESTION, SHORT_FRAMES, Seen, canary_clips, read_answer
from captionfleet.check.finding import Finding
from captionfleet.check.seen_and_heard import Sent, judged, without_flags
from captionfleet.messages import Form
from captionfleet.profiles import PROFILES
from captionfleet.profiles.models import ProfileName

CLIPS = canary_clips(60, random.Random(1))  # noqa: S311 - repeatable
SHORT, VOICE, LONG = CLIPS
SIZE = (640, 360)
TEXT = 110


@given(st.integers(0, 700), st.integers())
def test_clips_show_what_they_say(most_frames: int, seed: int) -> None:
    """Digits differ, come in order, stand in whole pairs of frames, and all fit in."""
    short, voice, long = canary_clips(most_frames, random.Random(seed))  # noqa: S311 - repeatable
    assert short.shown == voice.shown
    assert (short.sound, voice.sound, long.sound) == ("none", "speech", "silence")
    assert 2 * SHORT_FRAMES <= long.frames <= 120
    assert long.frames % 2 == 0
    for clip in (short, long):
        assert len(set(clip.digits)) == len(clip.digits)
        ends = [0]
        for _, first, end in clip.shown:
            assert ends[-1] <= first < end <= clip.frames
            assert first % 2 == end % 2 == 0
            ends.append(end)


@given(st.integers(0, 700), st.sets(st.integers(0, 119)))
def test_of_fewer_frames_the_digits_in_them_are_expected(most: int, kept: set[int]) -> None:
    """A digit counts if a frame that shows it is sent, at the place of that frame among those."""
    for clip in canary_clips(most, random.Random(most)):  # noqa: S311 - repeatable
        chosen = sorted(number for number in kept if number < clip.frames)
        sent = clip.with_frames(chosen)
        assert (sent.frames, sent.seconds) == (len(chosen), clip.frames)
        seen_at = {at: digit for digit, first, end in sent.shown for at in range(first, end)}
        for at, number in enumerate(chosen):
            shown = [digit for digit, first, end in clip.shown if first <= number < end]
            assert seen_at.get(at, "") == "".join(shown)
        assert clip.with_frames(range(clip.frames)) == clip


@pytest.mark.parametrize(
    ("text", "digits", "corner", "hears"),
    [
        ("DIGITS=739; CORNER=top-left; SOUND=yes", "739", "top-left", True),
        ("**Digits**: 7, 3, 9\n**Corner:** Top Left\n**Sound:** No.", "739", "top-left", False),
        ("digits = 7-3-9, corner = bottom_right, sound = YES", "739", "bottom-right", True),
        (f"{QUESTION}\nDIGITS=42; CORNER=top-right; SOUND=no", "42", "top-right", False),
        ("DIGITS=none; CORNER=none; SOUND=no", "", "", False),
        ("739, top-left, yes", "739", "", None),
        ("I see a dog.", "", "", None),
        ("", "", "", None),
    ],
)
def test_answers_are_read_however_they_are_spelt(
    text: str,
    digits: str,
    corner: str,
    hears: bool | None,  # noqa: FBT001 - a row of the table
) -> None:
    """A model's line is found in what it writes around it; a book is not read to its end."""
    assert read_answer(text, 7) == Seen(7, digits, corner, hears)


def test_a_book_is_not_read_to_its_end() -> None:
    """What a model writes may be long and hostile; its end holds the line, or none does."""
    assert read_answer("DIGITS=1 " * 10**6 + "DIGITS=42; SOUND=no", 7).digits == "42"
    assert read_answer("DIGITS=" + "1 " * 10**6, 7).digits == ""


def test_an_answer_that_is_cut_off_proves_nothing() -> None:
    """A model that thinks until its tokens are gone is not called blind."""
    nothing = Seen(TEXT + 880, is_cut=True)
    found = levels(short=nothing, voice=nothing, long=nothing)["picture"]
    assert (found.level, "cut off" in found.text) == ("warn", True)
    assert read_answer("Let me think", 7, is_cut=True).is_cut
    assert not read_answer("DIGITS=739", 7, is_cut=True).is_cut


def levels(
    profile: ProfileName = "qwen3-omni",
    *,
    hears: bool = True,
    form: Form = Form(),  # noqa: B008 - frozen
    **seen: Any,
) -> dict[str, Finding]:
    """The findings by what was looked at; clips are answered rightly unless `seen` says else."""
    right = {
        "short": Seen(TEXT + 880, SHORT.digits, "top-left", hears=False),
        "voice": Seen(TEXT + 880 + 104, VOICE.digits, "top-left", hears=True),
        "long": Seen(TEXT + 6600 + 780, LONG.digits, "top-left", hears=False),
    }
    found = judged(
        CLIPS,
        {name: one for name, one in (right | seen).items() if one is not None},
        PROFILES[profile],
        Sent(form, *SIZE, hears=hears),
    )
    return {finding.check: finding for finding in found}


def test_right_answers_are_ok() -> None:
    """Nothing is said against a server that sees and hears all, its model known or not."""
    assert {one.level for one in levels().values()} == {"ok"}
    assert {one.level for one in levels("generic").values()} == {"ok"}


def test_a_clip_that_is_cut_short_is_told_by_its_digits() -> None:
    """Where the first digits are right and the last ones missing, the end was not seen."""
    seen = Seen(TEXT + 3520 + 416, LONG.digits[:2], "top-left", hears=False)
    found = levels(long=seen)
    assert found["picture"].level == "fail"
    assert f"nothing was seen from frame {LONG.shown[2][1]} of 60 on" in found["picture"].text


def test_pictures_beyond_the_context_are_told_with_their_cure() -> None:
    """No flag for videos helps a server of pictures; a longer context or fewer of them do."""
    pictures = Form(video_as="frames", audio_as="input_audio", audio_format="wav")
    few = Seen(TEXT + 3520 + 780, LONG.digits[:2], "top-left", hears=False)
    found = levels(form=pictures, long=few)
    assert "about 32 of 60 pictures are seen" in found["frames"].text
    for finding in (found["frames"], found["picture"]):
        assert "OLLAMA_CONTEXT_LENGTH" in finding.advice
        assert "media-io" not in finding.advice
    deaf = Seen(TEXT + 880, VOICE.digits, "top-left", hears=False)
    assert "drops input_audio" in levels(form=pictures, voice=deaf)["sound"].text


def test_sound_that_is_padded_costs_no_frames() -> None:
    """Where 30 s of sound cost what one second does, the short clip's sound is no measure."""
    voice = Seen(TEXT + 880 + 750, VOICE.digits, "top-left", hears=True)
    long = Seen(TEXT + 6600 + 1500, LONG.digits, "top-left", hears=False)
    assert levels("generic", voice=voice, long=long)["frames"].level == "ok"
    half = Seen(TEXT + 3300 + 1500, LONG.digits, "top-left", hears=False)
    assert levels("generic", voice=voice, long=half)["frames"].level == "fail"


def test_a_misread_digit_is_no_failure() -> None:
    """A model may misread; only what the server does is held against it."""
    wrong = LONG.digits[:-1] + ("0" if LONG.digits[-1] != "0" else "1")
    seen = Seen(TEXT + 6600 + 780, wrong, "top-left", hears=False)
    assert levels(long=seen)["picture"].level == "warn"


@pytest.mark.parametrize("frames", [16, 24, 48])
def test_other_limits_are_told_by_their_number(frames: int) -> None:
    """About as many frames as the tokens are worth are named."""
    seen = Seen(TEXT + frames * 110 + 780, LONG.digits, "top-left", hears=False)
    found = levels(long=seen)["frames"]
    assert (found.level, f"about {frames} of 60 frames" in found.text) == ("fail", True)


def test_video_that_costs_nothing_is_not_seen() -> None:
    """Tokens of the text alone mean that the video went nowhere."""
    nothing = Seen(TEXT, "", "", hears=False)
    found = levels(short=nothing, voice=nothing, long=nothing)
    assert "none of 60 frames costs a token" in found["frames"].text
    assert "does not see the video" in found["picture"].advice
    assert found["sound"].level == "fail"


def test_flags_are_named_only_where_they_can_be_given() -> None:
    """A hosted deployment cannot be started with another flag."""
    seen = Seen(TEXT + 3520 + 780, LONG.digits, "top-left", hears=False)
    found = levels(long=seen)
    assert """--media-io-kwargs '{"video":{"num_frames":-1}}'""" in found["frames"].advice
    assert "--media-io" not in without_flags(found["frames"]).advice
    assert without_flags(found["picture"]) == found["picture"]


def test_sound_that_the_model_did_not_notice_is_no_failure() -> None:
    """Where the tokens are right, a wrong word about the sound is the model's own."""
    seen = Seen(TEXT + 880 + 104, VOICE.digits, "top-left", hears=False)
    assert levels(voice=seen)["sound"].level == "warn"
    assert "sound" not in levels("molmo2-8b", hears=False, voice=None)
