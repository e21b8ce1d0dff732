"""The command line: parse, call, print, exit code; no logic (main process)."""

from captionfleet.cli.commands import app, run_command_line

__all__ = ["app", "run_command_line"]
