"""Tabulates what each node of a cluster did in the last run; pure (main process)."""

from typing import Any

from captionfleet.ledger.files.reading import number_in, table_in, text_in

__all__ = ["nodes_table"]

_MAX_ROWS, _MAX_NAME_CHARS = 200, 300


def nodes_table(run: dict[str, Any]) -> dict[str, Any]:
    """A row for each of the busiest nodes, how many are left out, and clips that were lost."""
    nodes = table_in(run, "nodes")
    rows = [_row(name, table_in(nodes, name)) for name in nodes]
    rows.sort(key=lambda row: (-(row["clips"] or 0), row["name"]))
    return {
        "rows": rows[:_MAX_ROWS],
        "left_out": max(0, len(rows) - _MAX_ROWS),
        "lost": number_in(run, "lost_with_nodes") or 0,
    }


def _row(name: str, node: dict[str, Any]) -> dict[str, Any]:
    figures = ("clips", "failed", "busy_s", "cpu_s", "media_bytes")
    return {key: number_in(node, key) for key in figures} | {
        "name": name[:_MAX_NAME_CHARS],
        "refused": text_in(node, "refused")[:_MAX_NAME_CHARS],
    }
