"""Fills in prompts with {names}, for each clip from its row, path and facts; pure (any process).

The language is deliberately small: names are replaced by texts. A row's text is inserted as it is
and never parsed again, so braces in it have no effect.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePath
from typing import Any, Self

import orjson

from captionfleet.messages import Clip, MediaFacts, Row, printable

__all__ = ["Template", "TemplateError", "names_in"]

_METADATA = "metadata."
_OF_ROWS = frozenset({"row.id"})
_NAMES = (
    "clip.start_s", "clip.end_s", "clip.seconds", "clip.has_audio",
    "path.source", "path.name", "path.stem", "path.folder", "row.id",
)  # fmt: skip
_MOST_CHARS = 100_000  # about 25,000 tokens; more would be a costly mistake in a list
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class TemplateError(ValueError):
    """Raised when a template is invalid, or a clip lacks a value that it names."""


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed prompt: literal texts at even places, names at odd places."""

    parts: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `{name}` placeholders; `{{` and `}}` are literal braces.

        Raises:
            TemplateError: a brace is unpaired, or a name is unknown.
        """
        parts, last = [""], 0
        for token in _TOKEN.finditer(text):
            parts[-1] += text[last : token.start()]
            last = token.end()
            if token[0] in {"{{", "}}"}:
                parts[-1] += token[0][0]
            elif token[1] is None:
                raise TemplateError(f"a lone {token[0]}: write {token[0] * 2} for the sign itself")
            else:
                parts += [_known(token[1].strip()), ""]
        parts[-1] += text[last:]
        return cls(tuple(parts))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all placeholders."""
        return self.parts[1::2]

    @property
    def needs_rows(self) -> bool:
        """Whether a placeholder names a column, which only rows of a list have."""
        return any(name.startswith(_METADATA) or name in _OF_ROWS for name in self.names)

    def of_row(self, row: Row) -> tuple[str, ...]:
        """The texts that it takes from the columns of a row; missing ones are empty."""
        metadata = _metadata_of(row)
        texts = []
        for name in self.names:
            if name.startswith(_METADATA):
                try:
                    texts.append(_found(metadata, name))
                except TemplateError:
                    texts.append("")
        return tuple(texts)

    def require(self, clip: Clip) -> None:
        """Make sure that this clip has every value, before its media are prepared.

        Raises:
            TemplateError: it cannot.
        """
        metadata = _metadata(clip)
        texts = (_found(metadata, name) for name in self.names if name.startswith(_METADATA))
        size = sum(map(len, texts)) + sum(map(len, self.parts[::2]))
        if size > _MOST_CHARS:
            raise TemplateError(f"the prompt would have {size:,} characters, of {_MOST_CHARS:,}")

    def filled(self, clip: Clip, facts: MediaFacts) -> str:
        """The prompt for a clip with these media facts.

        Raises:
            TemplateError: the clip's row does not have what it names.
        """
        metadata, values = _metadata(clip), _values(clip, facts)
        texts = [*self.parts]
        for place in range(1, len(texts), 2):
            name = texts[place]
            texts[place] = values[name] if name in values else _found(metadata, name)
        return "".join(texts)


def names_in(text: str) -> list[str]:
    """The known names in braces in a prompt, whether or not it is a template."""
    found = (token[1].strip() for token in _TOKEN.finditer(text) if token[1])
    return [name for name in found if name in _NAMES or name.startswith(_METADATA)]


def _known(name: str) -> str:
    if name in _NAMES or name.removeprefix(_METADATA) not in {name, ""}:
        return name
    alike = get_close_matches(name, _NAMES, n=1)
    meant = f"did you mean {{{alike[0]}}}?" if alike else f"metadata.COLUMN, {', '.join(_NAMES)}"
    raise TemplateError(f"unknown name {{{name}}}: {meant}")


def _values(clip: Clip, facts: MediaFacts) -> dict[str, str]:
    end_s = max(clip.start_s, min(clip.end_s, facts.source_s))
    path = PurePath(clip.source.name)
    known = PurePath(clip.source.known_path)
    return {
        "clip.start_s": _seconds(clip.start_s),
        "clip.end_s": _seconds(end_s),
        "clip.seconds": _seconds(end_s - clip.start_s),
        "clip.has_audio": "yes" if facts.has_audio else "no",
        "path.source": printable(str(path)),
        "path.name": printable(path.name),
        "path.stem": printable(path.stem),
        "path.folder": printable(known.parent.name),
        "row.id": printable(clip.source.row.id),
    }


def _seconds(value: float) -> str:
    return f"{round(value, 1):g}" if value < 1e5 else f"{value:.0f}"  # noqa: PLR2004 - digits of g


def _metadata(clip: Clip) -> Mapping[str, Any]:
    return _metadata_of(clip.source.row)


def _metadata_of(row: Row) -> Mapping[str, Any]:
    found = orjson.loads(row.metadata)
    return found if isinstance(found, dict) else {}


def _found(metadata: Mapping[str, Any], name: str) -> str:
    """A column's text, by its name or, for nested tables, by names joined with dots.

    Raises:
        TemplateError: there is none.
    """
    value: Any = metadata
    left = name.removeprefix(_METADATA)
    while left:
        if not isinstance(value, Mapping):
            break
        if left in value:
            value, left = value[left], ""
        else:
            first, _, left = left.partition(".")
            value = value.get(first) if left else None
    if value is None or left:
        raise TemplateError(f"there is no {name}, which the prompt names")
    return value if isinstance(value, str) else orjson.dumps(value).decode()
