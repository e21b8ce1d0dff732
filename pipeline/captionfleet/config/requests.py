"""Reads several [[request]] tables, and applies flags to them; pure (main process)."""

from collections.abc import Mapping, Sequence
from typing import Any

from captionfleet.config.sections.asking import RequestConfig

__all__ = ["require_names", "under_flags", "with_requests"]

_MOST = 32  # more are a mistake: every request pays for every clip
_OF_ONE = ("prompt", "system", "response_schema")


def with_requests(data: Any) -> Any:
    """The job's data, where `request` may be a list of tables, in a form that JobConfig takes.

    A list goes to `requests`, and `request` becomes its first table.
    """
    tables = data.get("request") if isinstance(data, Mapping) else None
    if not isinstance(tables, list | tuple) or not tables:
        return data
    return {**data, "request": tables[0], "requests": list(tables)}


def under_flags(tables: Sequence[Any], flags: Mapping[str, Any], only: Sequence[str]) -> list[Any]:
    """The tables with flags applied to all of them, or to those that `only` names.

    Raises:
        ValueError: a flag such as a prompt would apply to several requests.
    """
    chosen = [table for table in tables if isinstance(table, Mapping) and _is_chosen(table, only)]
    if len(chosen) > 1 and (taken := [key for key in _OF_ONE if key in flags]):
        names = ", ".join(str(table.get("name", "")) for table in chosen)
        raise ValueError(
            f"request.{taken[0]}: the job has several requests ({names}): choose one with "
            "--only-request NAME"
        )
    return [
        {**table, **flags} if any(table is one for one in chosen) else table for table in tables
    ]


def _is_chosen(table: Mapping[str, Any], only: Sequence[str]) -> bool:
    return not only or table.get("name", "") in only


def require_names(requests: Sequence[RequestConfig], only: Sequence[str]) -> None:
    """Make sure that several requests have different names, and that those in `only` exist.

    Raises:
        ValueError: a name is missing, repeated or unknown.
    """
    if len(requests) > _MOST:
        raise ValueError(f"request: {len(requests)} requests are more than {_MOST}")
    names = [request.name for request in requests]
    if len(names) > 1 and "" in names:
        raise ValueError("request: each [[request]] needs a name, as there are several")
    # Names become parts of file names, and some file systems ignore case.
    if len({name.lower() for name in names}) < len(names):
        raise ValueError("request: requests must have different names")
    if missing := [name for name in only if name not in names]:
        there = ", ".join(name for name in names if name) or "none has a name"
        raise ValueError(f"input.only_request: no request is called {missing[0]} ({there})")
