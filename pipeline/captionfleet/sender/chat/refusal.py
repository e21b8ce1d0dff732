"""Recognises short answers that refuse in words; pure (main process)."""

import re

__all__ = ["is_refusal"]

_MOST_WORDS = 60  # longer answers are captions that may begin with a reservation
# How Qwen, Gemini, GPT and Claude models begin a refusal, in English and Chinese. Phrases that a
# caption may contain too ("I cannot see", "I can't tell") are left out.
_SORRY = r"(?:i(?:'m| am) (?:very |really )?sorry|sorry|(?:i )?apolog(?:ies|i[sz]e))"
_UNABLE = (
    r"i(?: can(?:'t|not| not)|(?:'m| am) (?:unable|not able|not allowed|not permitted) to"
    r"| won't| will not| must decline to)"
)
_DEED = (
    r"(?:assist|help|comply|fulfil|engage|participate|proceed|discuss|continue with"
    r"|(?:provide|create|generate|produce|write|give) (?:you )?(?:with )?"
    r"(?:a|an|any|this|that|the|captions?|descriptions?)"
    r"|(?:describe|caption|analy[sz]e|process|view) (?:this|that|the|such|videos?))"
)
_ENGLISH = re.compile(
    rf"(?:{_SORRY}[,.!;:]? *(?:but |as |however,? ?)?)?{_UNABLE} (?:\w+ )?{_DEED}"
)
_CHINESE = re.compile(
    r"(?:很?抱歉|对不起)?\W*我?(?:无法|不能)(?:为您|为你)?"
    r"(?:协助|帮助|提供|满足|回答|处理|描述)"
)


def is_refusal(text: str) -> bool:
    """Whether the answer begins like a refusal and is too short to hold a caption as well."""
    start = text.strip()[:2000].replace("\u2019", "'").lower()
    if len(start.split()) > _MOST_WORDS or len(start) > 10 * _MOST_WORDS:
        return False
    return bool(_ENGLISH.match(start) or _CHINESE.match(start))
