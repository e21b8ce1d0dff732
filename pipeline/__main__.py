"""The entry point; free of imports, because every worker process runs this file again."""

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from pipeline.cli import run_command_line  # noqa: PLC0415 - worker processes must not pay

    sys.exit(run_command_line(sys.argv[1:]))


if __name__ == "__main__":
    main()
