"""Writes job files for whole runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from captionfleet.standin.server import Standin

Tables = Mapping[str, Mapping[str, Any] | list[Mapping[str, Any]]]
NO_REPORT = {"report": False}  # it takes half a second


ONE_WORKER = {"processes": 1}  # each takes a third of a second to start


def asking(base_url: str, folder: Path) -> tuple[str | Path, ...]:
    """The flags of a run that asks this deployment, with one worker, and writes no report."""
    path = folder / "no-report.toml"
    lines = ["[output]", *_pairs(NO_REPORT), "[workers]", *_pairs(ONE_WORKER)]
    path.write_text("\n".join(lines) + "\n")
    return "--base-url", base_url, "--model", "omni", "--job", path


def write_job(
    path: Path, *deployments: Standin | str, tables: Tables | None = None, **each: Any
) -> Path:
    """Write a job with these deployments (d1, d2, …), all alike but for lists in `each`.

    A list in `tables` becomes as many tables of its name.

    A deployment is a stand-in or a base URL; of a list in `each` the first goes to the first.
    """
    lines = []
    given = dict(tables or {})
    given["output"] = NO_REPORT | dict(given.get("output", {}))
    for name, table in given.items():
        if isinstance(table, list):
            lines += [line for one in table for line in (f"[[{name}]]", *_pairs(one))]
        else:
            lines += [f"[{name}]", *_pairs(table)]
    for position, deployment in enumerate(deployments):
        base_url = deployment.base_url if isinstance(deployment, Standin) else deployment
        own = {
            key: value[position] if isinstance(value, list) else value
            for key, value in each.items()
        }
        lines += [
            "[[deployments]]",
            *_pairs({"base_url": base_url, "model": "omni", "api_key_env": ""} | own),
        ]
    path.write_text("\n".join(lines) + "\n")
    return path


def _pairs(table: Mapping[str, Any]) -> list[str]:
    # What JSON writes for text, numbers, booleans and lists of them, TOML reads as the same.
    return [f"{key} = {orjson.dumps(value).decode()}" for key, value in table.items()]
