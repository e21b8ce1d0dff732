"""The `captionfleet merge` command: folders in, one folder out (main process)."""

import sys
from pathlib import Path

from captionfleet.errors import ConfigError
from captionfleet.messages import for_terminal

__all__ = ["merge_command"]


def merge_command(*folders: Path, out: Path) -> int:
    """Join the output folders of shards.

    Args:
        folders: Output folders of runs, none of which is running.
        out: The folder that they become, made if missing; what it holds already stays.
    """
    from captionfleet.merge.merge import merge  # noqa: PLC0415 - --help need not wait for it

    if not folders:
        raise ConfigError("merge: name the output folders to join")
    merged = merge(folders, out)
    sys.stdout.write("".join(for_terminal(line) + "\n" for line in merged.lines()))
    return int(merged.misfit_count > 0)
