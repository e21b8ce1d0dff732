"""Computes how much of a film its only captioned window leaves out; pure (main process)."""

from dataclasses import replace

from captionfleet.messages import Caption, Outcome

__all__ = ["CUT_TO_WINDOW", "flagged", "left_out_s"]

CUT_TO_WINDOW = "cut_to_window"
"""The film goes on after the clip, and the rest of it is not captioned."""

# One frame is sampled per second: less than a second beyond the window has none of its own.
_LEAST_REST_S = 1.0
_AUDIO_SLACK_S = 0.5


def left_out_s(caption: Caption) -> float:
    """Seconds of the film after its single window; 0.0 if nothing is left out.

    A header may claim more than the file holds: a film that ended within the window is complete.
    """
    clip, facts = caption.clip, caption.facts
    rest_s = facts.source_s - clip.end_s
    if not clip.stands_alone or rest_s < _LEAST_REST_S:
        return 0.0
    window_s = clip.end_s - clip.start_s
    is_filled = facts.frames >= int(window_s) or facts.audio_s >= window_s - _AUDIO_SLACK_S
    return rest_s if is_filled else 0.0


def flagged(outcome: Outcome) -> Outcome:
    """The outcome, with the flag `cut_to_window` where footage is left out."""
    if not isinstance(outcome, Caption) or not left_out_s(outcome):
        return outcome
    return replace(outcome, flags=(*outcome.flags, CUT_TO_WINDOW))
