"""Writes answers as JSON that fits a schema, like a constrained decoder; pure."""

from typing import Any

import orjson

__all__ = ["filled", "misfit", "unsupported"]

_UNSUPPORTED = ("oneOf", "minLength", "maxLength", "minItems", "maxItems", "pattern")
_DEEPEST = 20

Schema = dict[str, Any]


def unsupported(schema: Any) -> str | None:
    """Return a keyword of the schema that the service does not support, or None."""
    if isinstance(schema, list):
        return next(filter(None, map(unsupported, schema)), None)
    if not isinstance(schema, dict):
        return None
    for keyword in _UNSUPPORTED:
        if keyword in schema:
            return keyword
    named = [schema.get(key) for key in ("properties", "$defs", "definitions")]
    below = [list(names.values()) for names in named if isinstance(names, dict)]
    rest = [value for key, value in schema.items() if key in {"items", "anyOf", "allOf"}]
    return unsupported(below + rest)


def filled(schema: Schema, text: str) -> str:
    """Return JSON that fits the schema, with `text` as every free string."""
    value = _value(schema, schema, text, 0) if schema else {"caption": text}
    return orjson.dumps(value).decode()


def misfit() -> str:
    """Return JSON that fits no plausible schema."""
    return orjson.dumps([None, "this is not what was asked for"]).decode()


def _value(schema: Any, root: Schema, text: str, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return text
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    if "$ref" in schema:
        return _value(_target(root, schema["$ref"]), root, text, depth + 1)
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return _value(schema[choice][0], root, text, depth + 1)
    return _of_type(schema, root, text, depth)


def _target(root: Schema, reference: str) -> Any:
    kind, _, name = reference.removeprefix("#/").partition("/")
    return root.get(kind, {}).get(name)


def _of_type(schema: Schema, root: Schema, text: str, depth: int) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            properties = schema.get("properties", {})
            return {
                name: _value(below, root, text, depth + 1) for name, below in properties.items()
            }
        case "array":
            count = max(1, schema.get("minItems", 1))
            return [_value(schema.get("items"), root, text, depth + 1)] * count
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return text[: schema.get("maxLength", len(text))]
