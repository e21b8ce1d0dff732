"""A process that has imported what a run needs, and forks into the command at every order.

Starting Python and importing takes most of the time of a short run. A fork is a process of its
own like any other, with the arguments, the environment and the folder of its order. It ends
without taking its modules apart, which would copy most of the memory that it shares.
"""

import atexit
import gc
import json
import os
import socket
import sys
import threading
from contextlib import suppress
from typing import Any, NoReturn

import anyio._backends._asyncio
import anyio._core._sockets
import anyio._core._subprocesses  # noqa: F401 - as below

import captionfleet.cli
import captionfleet.deployment.discovery
import captionfleet.report.command
import captionfleet.run  # noqa: F401 - the forks find all of these imported
from captionfleet.__main__ import main as command

MOST_BYTES = 1 << 16
_DESCRIPTORS = 3


def main() -> None:
    """Take orders from the socket at stdin until its other end is closed.

    An order is a JSON object with `arguments`, `folder`, `environment` and the path of `stdin`, and
    comes with the descriptors that are to be stdout and stderr, and one that gets first the
    process id, then the exit code.
    """
    gc.freeze()
    with socket.socket(fileno=os.dup(0)) as orders:
        while True:
            order, descriptors, _, _ = socket.recv_fds(orders, MOST_BYTES, _DESCRIPTORS)
            if not order:
                return
            if os.fork() == 0:
                break
            for descriptor in descriptors:
                os.close(descriptor)
            with suppress(ChildProcessError):  # none is left
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
    if child := os.fork():
        _attend(child, *descriptors)
    else:
        _become(json.loads(order), *descriptors)
        _run()


def _attend(child: int, stdout: int, stderr: int, notified: int) -> None:
    os.close(stdout)
    os.close(stderr)
    with suppress(BrokenPipeError):  # nobody wants to know any more
        os.write(notified, b"%d\n" % child)
        os.write(notified, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    os._exit(0)


def _become(order: dict[str, Any], stdout: int, stderr: int, notified: int) -> None:
    os.setsid()
    with open(order["stdin"], "rb") as given:  # noqa: PTH123 - a descriptor is what is needed
        os.dup2(given.fileno(), 0)
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    for descriptor in (stdout, stderr, notified):
        os.close(descriptor)
    folder, environment = order["folder"], order["environment"]
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = folder
    sys.argv[1:] = order["arguments"]


def _run() -> NoReturn:
    """Run the command, and end as Python does but for what it frees."""
    try:
        command()
    except SystemExit as end:
        if not isinstance(end.code, int):
            raise
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code)
    raise AssertionError("the command returned")


if __name__ == "__main__":
    main()
