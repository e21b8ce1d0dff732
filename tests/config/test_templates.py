"""Prompts that are filled in clip by clip."""

import json
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet import JobConfig
from captionfleet.config.templates import Template, TemplateError, names_in
from captionfleet.errors import ConfigError
from captionfleet.messages import Clip, Row
from captionfleet.producer.asking import Asking
from tests.support.outcomes import FACTS, make_clip


def clip_of(**metadata: object) -> Clip:
    """A clip of a row with these columns."""
    clip = make_clip(1)
    row = Row(1, id="r1", metadata=orjson.dumps(metadata).decode())
    return replace(clip, source=replace(clip.source, row=row))


def test_names_are_filled_in() -> None:
    """By column, by path and by the facts of the clip; doubled braces are signs."""
    text = (
        "{metadata.title} ({metadata.year}, {metadata.a.b}, {metadata.c.d}) {{x}} {row.id} "
        "{path.source} {path.name} {path.stem} {path.folder} "
        "{clip.start_s} {clip.end_s} {clip.seconds} {clip.has_audio}"
    )
    clip = clip_of(**{"title": "Étude", "year": 1968, "a": {"b": [1, True]}, "c.d": "dotted"})
    facts = replace(FACTS, source_s=12.34, has_audio=True)

    assert Template.parse(text).filled(clip, facts) == (
        "Étude (1968, [1,true], dotted) {x} r1 "
        "holiday/beach.mp4 beach.mp4 beach holiday 0 12.3 12.3 yes"
    )


@given(st.text(), st.text())
def test_what_a_row_holds_is_never_looked_at_again(before: str, value: str) -> None:
    """Braces, names and code in it are text, and so are those that are doubled in the prompt."""
    value = json.loads(json.dumps(value)).encode("utf-8", "replace").decode()
    doubled = before.replace("{", "{{").replace("}", "}}")
    template = Template.parse(f"{doubled}{{metadata.x}}{doubled}")

    assert template.filled(clip_of(x=value), FACTS) == f"{before}{value}{before}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{clip.second}", "did you mean {clip.seconds}"),
        ("{metadata.}", "unknown name"),
        ("{title}", "metadata.COLUMN"),
        ("{}", "unknown name"),
        ("{metadata.x!r:>{width}}", "a lone {"),
        ("{0.__class__}", "unknown name"),
        ("a { b", "a lone {"),
        ("a } b", "write }}"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(text: str, words: str) -> None:
    """Before anything is read or sent, with the key in the message."""
    with pytest.raises(TemplateError, match=words.replace("{", r"\{")):
        Template.parse(text)
    with pytest.raises(ValueError, match="prompt: "):
        JobConfig.model_validate({"request": {"prompt": text, "prompt_template": True}})
    JobConfig.model_validate({"request": {"prompt": text}})


def test_a_row_that_lacks_a_column_fails_alone_and_at_once() -> None:
    """Its other requests are asked; what is too long to be a prompt is not sent."""
    job = JobConfig.model_validate(
        {
            "input": {"sources": ["rows.csv"]},
            "request": [
                {"name": "plain", "prompt": "What?"},
                {"name": "titled", "prompt": "{metadata.title}?", "prompt_template": True},
            ],
        }
    )
    asking, both = Asking(job), ("plain", "titled")

    def split(**metadata: object) -> list[tuple[str, tuple[str, ...]]]:
        clip = replace(clip_of(**metadata), requests=both)
        return [
            ("clip", todo.requests) if isinstance(todo, Clip) else (todo.detail, todo.clip.requests)
            for todo in asking.split(clip)
        ]

    assert split(title="") == [("clip", both)]
    missing = "there is no metadata.title, which the prompt names"
    assert split() == split(title=None) == [("clip", ("plain",)), (missing, ("titled",))]
    assert "200,001 characters" in split(title="x" * 200_000)[1][0]


def test_columns_of_no_list_are_refused() -> None:
    """Where no source can have them, every clip would fail."""
    request = {"prompt": "{metadata.title}?", "prompt_template": True}
    job = JobConfig.model_validate({"input": {"sources": ["videos"]}, "request": request})
    with pytest.raises(ConfigError, match=r"metadata\.title.*no source is a list"):
        Asking(job)


def test_names_in_a_prompt_that_is_no_template_are_found() -> None:
    """It may be one whose setting was forgotten; JSON and the like are none."""
    assert names_in('{metadata.title} as {"a": {"b": 1}} or {clip.seconds}') == [
        "metadata.title", "clip.seconds",
    ]  # fmt: skip
    assert names_in("{title} {} {{x}} }{") == []
