"""Entry point of the command; imports nothing at the top, as worker processes may run this file."""

import signal
import sys

_OUTPUT_LOST = 3
_ENDED_BY_SIGINT = 130
_SIGNAL_EXIT = 128


def main() -> None:
    """Run the command line and exit with its code."""
    # In a container, the kernel drops signals for which process 1 has no handler.
    signal.signal(signal.SIGTERM, _end)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
        signal.signal(signal.SIGHUP, _end)
    try:
        from captionfleet.system.private_memory import keep_memory_private  # noqa: PLC0415 - as below

        keep_memory_private()
        from captionfleet.system.standard_streams import open_standard_streams  # noqa: PLC0415 - as below

        output = open_standard_streams()
        from captionfleet.cli import run_command_line  # noqa: PLC0415 - worker processes must not pay

        exit_code = run_command_line(sys.argv[1:])
        sys.stdout.flush()
        output.finish(output.patience_s)
        if output.lost:
            sys.stderr.write(f"captionfleet: cannot write to standard output: {output.lost}\n")
            exit_code = exit_code or _OUTPUT_LOST
    except KeyboardInterrupt:  # before the run handles signals, or in a command that does not
        exit_code = _ENDED_BY_SIGINT
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # no later signal changes the code
    sys.exit(exit_code)


def _end(number: int, _frame: object) -> None:
    sys.exit(_SIGNAL_EXIT + number)


if __name__ == "__main__":
    main()
