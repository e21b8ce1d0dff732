"""The `captionfleet merge` command: reads folder names, joins the folders (main process)."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from captionfleet.errors import ConfigError
from captionfleet.messages import for_terminal
from captionfleet.telemetry import show_steps

__all__ = ["merge_command"]


def merge_command(
    *folders: Path, out: Path, quiet: Annotated[bool, Parameter(negative="")] = False
) -> int:
    """Join the output folders of shards.

    Args:
        folders: Output folders of runs, none of which is running.
        out: The joined folder, created if missing; its existing lines stay.
        quiet: Show no progress.
    """
    from captionfleet.merge.merge import merge  # noqa: PLC0415 - --help need not wait for it

    if not folders:
        raise ConfigError("merge: name the output folders to join")
    with show_steps(None if quiet else sys.stderr) as steps:
        merged = merge(folders, out, steps)
    sys.stdout.write("".join(for_terminal(line) + "\n" for line in merged.lines()))
    return int(merged.misfit_count > 0)
