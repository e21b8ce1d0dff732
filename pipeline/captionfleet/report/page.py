"""Builds the self-contained page from figures and clips; pure (main process).

Three measures ensure that captions and file names stay text: the template escapes them, the data
are JSON without `<`, `>` and `&`, and the page's content security policy allows only its own
script.
"""

import base64
import hashlib
import secrets
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import orjson
from jinja2 import Environment, FunctionLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from captionfleet import text

__all__ = ["page_parts", "safe_json"]

_ESCAPES = {
    b"<": b"\\u003c",
    b">": b"\\u003e",
    b"&": b"\\u0026",
    "\u2028".encode(): b"\\u2028",
    "\u2029".encode(): b"\\u2029",
}
_SCRIPTS = ("words.js", "card.js", "gallery.js")  # in this order, in one block
_POLICY = (
    "default-src 'none'; img-src data:; media-src data: blob:; style-src 'sha256-{style}'; "
    "script-src 'sha256-{script}'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


def safe_json(value: object) -> bytes:
    """JSON that is safe inside a script element, with any texts."""
    return _without_markup(orjson.dumps(value))


def page_parts(
    context: Mapping[str, Any], data: Mapping[str, Any], texts: str, blocks: Mapping[int, bytes]
) -> Iterator[bytes]:
    """The page, piece by piece.

    Args:
        context: the values for the template.
        data: the clips, for the script.
        texts: further clips, as base64 of gzip of JSON lines.
        blocks: the clips' media by number, as JSON.
    """
    style, script = _own("page.css"), _script()
    policy = _POLICY.format(style=_digest(style), script=_digest(script))
    template = _environment().get_template("page.html.jinja")
    place = secrets.token_hex()  # no name in the page can hold it
    own = {"style": Markup(style), "script": Markup(script)}  # noqa: S704 - our own files
    before, _, after = template.render(context, policy=policy, data=place, **own).partition(place)
    yield before.encode("utf-8", "replace")
    yield b'<script type="application/json" id="data">' + safe_json(data) + b"</script>\n"
    yield b'<script type="application/json" id="texts">' + safe_json(texts) + b"</script>\n"
    for number, block in blocks.items():
        head = f'<script type="application/json" id="media-{number}">'
        yield head.encode() + _without_markup(block) + b"</script>\n"
    yield after.encode("utf-8", "replace")


def _without_markup(json: bytes) -> bytes:
    for character, escape in _ESCAPES.items():
        json = json.replace(character, escape)
    return json


@cache
def _own(name: str) -> str:
    return files("captionfleet.report").joinpath(name).read_text(encoding="utf-8")


@cache
def _script() -> str:
    return '"use strict";\n{\n' + "".join(map(_own, _SCRIPTS)) + "}\n"


def _digest(content: str) -> str:
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


@cache
def _environment() -> Environment:
    environment = Environment(
        autoescape=select_autoescape(default=True, default_for_string=True),
        loader=FunctionLoader(_own),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = ("count", "percent", "seconds", "short", "size")
    environment.filters.update({name: getattr(text, name) for name in names})
    return environment
