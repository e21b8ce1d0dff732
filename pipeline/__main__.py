"""The entry point; free of imports, because worker processes may run this file again."""

import signal
import sys

_OUTPUT_LOST = 3
_ENDED_BY_SIGINT = 130
_ENDED_BY_SIGTERM = 143


def main() -> None:
    """Run the command line and exit with its code."""
    # The kernel drops signals that process 1 of a container has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_ENDED_BY_SIGTERM))
    try:
        from pipeline.streams import open_standard_streams  # noqa: PLC0415 - as below

        output = open_standard_streams()
        from pipeline.cli import run_command_line  # noqa: PLC0415 - worker processes must not pay

        exit_code = run_command_line(sys.argv[1:])
        sys.stdout.flush()
        if output.lost:
            sys.stderr.write(f"captionfleet: cannot write to standard output: {output.lost}\n")
            exit_code = exit_code or _OUTPUT_LOST
    except KeyboardInterrupt:  # before the run heeds signals, or in a command that does not
        exit_code = _ENDED_BY_SIGINT
    for number in (signal.SIGINT, signal.SIGTERM):  # all is told: no later one changes the code
        signal.signal(number, signal.SIG_IGN)
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
