"""Formats the settings of a run for the report; pure (main process)."""

from typing import Any

from captionfleet import text
from captionfleet.ledger.files.reading import number_in, table_in, text_in

__all__ = ["settings_rows"]

_MAX_REQUESTS, _MAX_NAME_CHARS, _MAX_PROMPT_CHARS = 20, 60, 4000


def settings_rows(run: dict[str, Any]) -> list[tuple[str, str]]:
    """The settings of run.json as rows of (name, words); run.json holds no keys."""
    settings = table_in(run, "settings")
    media, request = table_in(settings, "media"), table_in(settings, "request")
    if not media or not request:
        return []
    tables = settings.get("requests")
    named = [one for one in tables if isinstance(one, dict)] if isinstance(tables, list) else []
    made = (
        f"{text.count(number_in(media, 'fps'))} frame/s ({text_in(media, 'sampling')}), "
        f"{text.count(number_in(media, 'height'))} px high, at most "
        f"{text.count(number_in(media, 'max_seconds'))} s; x264 "
        f"{text_in(media, 'video_preset')}; Opus "
        f"{text.short(number_in(media, 'audio_bitrate'))} bit/s"
    )
    asked = [row for one in named[:_MAX_REQUESTS] or [request] for row in _asked(one)]
    return [*asked, ("media", made)]


def _asked(request: dict[str, Any]) -> list[tuple[str, str]]:
    """One request, by its name if it has one."""
    name = text_in(request, "name")[:_MAX_NAME_CHARS]
    words = (
        f"at most {text.count(number_in(request, 'max_tokens'))} tokens, temperature "
        f"{number_in(request, 'temperature')}, "
        f"{'streamed' if request.get('stream') else 'not streamed'}"
    )
    rows = {
        "prompt": text_in(request, "prompt")[:_MAX_PROMPT_CHARS],
        "system": text_in(request, "system")[:_MAX_PROMPT_CHARS],
        "request": words,
    }
    return [(f"{name}: {what}" if name else what, said) for what, said in rows.items()]
