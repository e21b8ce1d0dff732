"""Shared parts of the deployment commands: control plane, confirmation, output (main process)."""

import sys
from collections.abc import Awaitable, Callable

import anyio
import orjson

from captionfleet.config.keys import origin_of, sent_in_clear
from captionfleet.deployment.plane.access import Access
from captionfleet.deployment.plane.client import open_client
from captionfleet.deployment.plane.plane import Plane
from captionfleet.deployment.protocol.calls import Call
from captionfleet.telemetry import configure_logging, get_log

__all__ = ["is_agreed", "print_calls", "print_json", "with_plane"]


def print_calls(*made: Call) -> int:
    """Print calls that are not made, and return the exit code."""
    print("\n\n".join(call.shown() for call in made))
    return 0


def print_json(value: object) -> None:
    """Print a value for programs."""
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def with_plane(access: Access, main: Callable[[Plane], Awaitable[int]]) -> int:
    """Run a command's body with a control plane, and return its exit code."""
    configure_logging()
    if sent_in_clear(access.api_base):
        get_log().warning(
            "the key goes unencrypted to another machine: use https",
            host=origin_of(access.api_base),
        )

    async def run() -> int:
        async with open_client(access.api_base, access.key()) as client:
            return await main(Plane(client))

    return anyio.run(run)


async def is_agreed(question: str, *, yes: bool) -> bool:
    """Ask for confirmation, but only on a terminal: a script must not wait."""
    if yes or not sys.stdin.isatty():
        return True
    return await anyio.to_thread.run_sync(_asked, question)


def _asked(question: str) -> bool:
    try:
        return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False
