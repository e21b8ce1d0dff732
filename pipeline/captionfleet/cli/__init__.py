"""The command line: parses arguments, calls the command, returns its exit code (main process)."""

from captionfleet.cli.commands import app, run_command_line

__all__ = ["app", "run_command_line"]
