"""Checks that a response schema can be used, before any request is sent; pure (main process).

It admits only keywords that a deployment can follow and that take bounded time to check: no regular
expressions, no external references, no recursion.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

__all__ = ["check_schema", "closed", "refused_by_fireworks"]

Schema = Mapping[str, Any]

_MOST_NODES = 2000
_MOST_DEPTH = 64
_ONE_SCHEMA = frozenset({"items", "additionalProperties", "not", "contains"})
_LIST_OF_SCHEMAS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_NAMED_SCHEMAS = frozenset({"properties", "$defs", "definitions"})
_ASSERTIONS = frozenset(
    """
    type enum const required minProperties maxProperties minItems maxItems uniqueItems
    minContains maxContains minLength maxLength minimum maximum exclusiveMinimum exclusiveMaximum
    multipleOf unevaluatedProperties
    """.split()
)
_REMARKS = frozenset(
    "$schema $comment title description default examples deprecated readOnly writeOnly".split()
)
_KNOWN = (
    _ONE_SCHEMA | _LIST_OF_SCHEMAS | _NAMED_SCHEMAS | _ASSERTIONS | _REMARKS | {"$ref", "format"}
)
_DIALECTS = (
    "https://json-schema.org/draft/2020-12/schema",
    "http://json-schema.org/draft-07/schema",  # the accepted keywords mean the same in it
)
# https://docs.fireworks.ai/structured-responses/structured-response-formatting
_NOT_ON_FIREWORKS = frozenset({"oneOf", "minLength", "maxLength", "minItems", "maxItems"})


def check_schema(schema: object) -> dict[str, Any]:
    """Return the schema if it can be used.

    Raises:
        ValueError: it cannot be used; the message names the place in it.
    """
    if not isinstance(schema, dict):
        raise ValueError("a JSON Schema is a table, or the path of a JSON file")  # noqa: TRY004 - pydantic reports it
    _check_size(schema)
    for path, below in _schemas(schema, ""):
        _check_keywords(path, below)
    _check_meaning(schema)
    _check_references(schema)
    return schema


def refused_by_fireworks(schema: Schema) -> str | None:
    """The path of the first keyword that Fireworks does not support, or None."""
    for path, below in _schemas(schema, ""):
        for keyword in sorted(_NOT_ON_FIREWORKS & below.keys()):
            return f"{path}{keyword}"
    return None


def closed(schema: Schema) -> dict[str, Any]:
    """The schema with every object closed to properties that it does not name.

    Fireworks reads an object with `properties` this way, as with `unevaluatedProperties: false`. An
    object that several subschemas define stays as it is, since no subschema knows all the names.
    """
    if any(_is_composed(below) for _, below in _schemas(schema, "")):
        return dict(schema)
    own: dict[str, Any] = {
        key: _closed_below(key, value) if key in _KNOWN else value for key, value in schema.items()
    }
    if "properties" in own and not {"additionalProperties", "unevaluatedProperties"} & own.keys():
        own["additionalProperties"] = False
    return own


def _closed_below(key: str, value: Any) -> Any:
    if key in _NAMED_SCHEMAS:
        return {name: _closed_one(below) for name, below in value.items()}
    if key in _LIST_OF_SCHEMAS:
        return [_closed_one(below) for below in value]
    return _closed_one(value) if key in _ONE_SCHEMA else value


def _closed_one(schema: Any) -> Any:
    return closed(schema) if isinstance(schema, dict) else schema


def _is_composed(schema: Schema) -> bool:
    parts = {"anyOf", "oneOf", "$ref"} & schema.keys()
    return "allOf" in schema or ("properties" in schema and bool(parts))


def _check_size(schema: object) -> None:
    """Bound the schema's size and depth; a TOML file may also hold dates, which JSON cannot."""
    nodes, level = 0, [("", schema)]
    for _ in range(_MOST_DEPTH):
        level = [pair for path, value in level for pair in _children(path, value)]
        nodes += len(level)
        if nodes > _MOST_NODES:
            raise ValueError(f"the schema has more than {_MOST_NODES} parts")
    if level:
        raise ValueError(f"the schema is nested more than {_MOST_DEPTH} deep")


def _children(path: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        yield from ((f"{path}{key}.", below) for key, below in value.items())
    elif isinstance(value, list):
        yield from ((f"{path}{index}.", below) for index, below in enumerate(value))
    elif not isinstance(value, str | int | float | None):
        raise ValueError(f"{path[:-1]}: JSON has no {type(value).__name__}")  # noqa: TRY004 - same


def _schemas(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Every schema within a schema, with its path, which ends in a dot unless it is empty."""
    yield path, schema
    for key, value in schema.items():
        if key in _ONE_SCHEMA and isinstance(value, dict):
            yield from _schemas(value, f"{path}{key}.")
        elif key in _LIST_OF_SCHEMAS and isinstance(value, list):
            for index, below in enumerate(value):
                if isinstance(below, dict):
                    yield from _schemas(below, f"{path}{key}.{index}.")
        elif key in _NAMED_SCHEMAS and isinstance(value, dict):
            for name, below in value.items():
                if isinstance(below, dict):
                    yield from _schemas(below, f"{path}{key}.{name}.")


def _check_keywords(path: str, schema: Schema) -> None:
    for key, value in schema.items():
        if key in {"pattern", "patternProperties"}:
            raise ValueError(f"{path}{key}: regular expressions are not supported")
        if key not in _KNOWN:
            alike = get_close_matches(key, _KNOWN, n=1)
            hint = f", did you mean {alike[0]}?" if alike else ""
            raise ValueError(f"{path}{key}: this keyword is not supported{hint}")
        if key == "unevaluatedProperties" and not isinstance(value, bool):
            raise ValueError(f"{path}{key}: only true and false are supported")


def _check_meaning(schema: Schema) -> None:
    # Imported here: it takes longer than all the rest of the configuration.
    from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415

    dialect = str(schema.get("$schema", _DIALECTS[0]))
    if dialect.removesuffix("#") not in _DIALECTS:
        raise ValueError(f"$schema: only draft 2020-12 is supported, not {dialect!r:.60}")
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = ".".join(map(str, error.absolute_path))
        raise ValueError(f"{where or 'schema'}: {error.message:.200}") from None


def _check_references(schema: Schema) -> None:
    """Make sure that each reference leads to a definition in this schema, without cycles.

    A definition counts once for each reference, so that a small schema cannot expand to a huge one.
    """
    if _expanded(schema, schema, "", {}, ()) > _MOST_NODES:
        raise ValueError(f"with its references followed, it has more than {_MOST_NODES} parts")


def _expanded(
    root: Schema, schema: Schema, path: str, sizes: dict[str, int], trail: tuple[str, ...]
) -> int:
    """The number of subschemas once every reference is expanded.

    `sizes` holds the counts known so far.
    """
    size = 0
    for where, below in _schemas(schema, path):
        size += 1
        if "$ref" in below:
            size += _expanded_target(root, f"{where}$ref", below["$ref"], sizes, trail)
    return size


def _expanded_target(
    root: Schema, where: str, target: str, sizes: dict[str, int], trail: tuple[str, ...]
) -> int:
    if target in trail:
        raise ValueError(f"{where}: {target} leads back to itself")
    if target not in sizes:
        found = _resolved(root, where, target)
        sizes[target] = _expanded(root, found, f"{target}: ", sizes, (*trail, target))
    return min(sizes[target], 2 * _MOST_NODES)


def _resolved(root: Schema, where: str, target: str) -> Schema:
    kind, _, name = target.removeprefix("#/").partition("/")
    known = root.get(kind)
    if kind in {"$defs", "definitions"} and isinstance(known, dict):
        found = known.get(name.replace("~1", "/").replace("~0", "~"))
        if target.startswith("#/") and isinstance(found, dict):
            return found
    raise ValueError(f"{where}: {target!r:.60} is not a definition in this schema (#/$defs/NAME)")
