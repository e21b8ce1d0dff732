"""The stand-in as a command in a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import urlopen

import pytest

from captionfleet.standin.command import serve_command
from captionfleet.standin.flags import ServeFlags

SERVE = (
    "import sys; from captionfleet.standin.command import serve_command; "
    "from captionfleet.standin.flags import ServeFlags; "
    "sys.exit(serve_command(flags=ServeFlags({})))"
)


@contextmanager
def command(arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command in its own process."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVE.format(arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"STANDIN_KEY": "hush"},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_first_line_is_the_base_url_and_signals_end_it(number: signal.Signals) -> None:
    """The first line on stdout is where it serves; a signal ends it with 0 and nothing to say."""
    with command("port=0, model=('omni',)") as process:
        assert process.stdout is not None
        base_url = process.stdout.readline().strip()
        with urlopen(f"{base_url}/models", timeout=60) as response:  # noqa: S310 -- its own address
            assert b'"omni"' in response.read()
        process.send_signal(number)
        rest, complaints = process.communicate(timeout=60)
    assert (process.returncode, rest, complaints) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"fault": ("429:7",)}, "rate is 0 to 1"),
        ({"slots": 0}, "slots"),
        ({"api_key_env": "NO_SUCH_KEY"}, "NO_SUCH_KEY"),
        ({"host": "256.0.0.1", "port": 0}, ""),
        ({"port": 99_999}, "99999 is not a port"),
    ],
)
def test_bad_argument_is_exit_code_2(
    arguments: dict[str, object], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be served is one line on stderr and exit code 2."""
    flags = ServeFlags(**arguments)  # type: ignore[arg-type]  # one row of the table
    assert serve_command(flags=flags) == 2
    complaint = capsys.readouterr().err
    assert words in complaint
    assert complaint.count("\n") == 1


def test_command_module_loads_no_server() -> None:
    """Asking the command for help does not wait for aiohttp, PyAV or numpy."""
    code = (
        "import sys, captionfleet.standin.command; "
        "sys.exit(any(name in sys.modules for name in ('aiohttp', 'av', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
