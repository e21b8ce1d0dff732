"""The `captionfleet schema` command (main process)."""

import sys

from captionfleet.ledger.format.schema_forms import Form, LineFile, schema_text

__all__ = ["schema_command"]


def schema_command(
    file: LineFile = LineFile.CAPTIONS,
    /,
    *,
    format: Form = Form.JSON_SCHEMA,  # noqa: A002 - a flag
) -> int:
    """Print the keys of a line of captions.jsonl or failures.jsonl.

    Args:
        file: The file.
        format: json-schema; arrow, Python for pyarrow; or duckdb, a view over the file in the
            folder where DuckDB runs.
    """
    sys.stdout.write(schema_text(file, format) + "\n")
    return 0
