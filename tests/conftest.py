"""Fixtures and guards for every test."""

import gc
import inspect
import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from blockbuster import blockbuster_ctx
from hypothesis import HealthCheck, settings

# How long an example takes depends on what else the machine does.
settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("patient")

_LONGEST = {"test_demo.py", "test_bench.py", "test_kill.py", "test_shards.py"}  # some seconds each
# A test that stands still meanwhile may call these itself; the program may not.
_MAY_BLOCK = [
    "captionfleet.config",
    "captionfleet.config.response_schema",
    "captionfleet.standin.films.film",
    "captionfleet.standin.films.library",
    "captionfleet.workers.eviction",
]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests: begun last, they would hold up the end of all."""
    items.sort(key=lambda item: item.path.name not in _LONGEST)


def pytest_collection_finish() -> None:
    """Keep the garbage collector off the thousands of tests, which stay to the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio, the backend that aiohttp needs."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def signals_as_usual() -> None:
    """Let commands notice a closed terminal and Ctrl-C, also where the tests have none.

    Started by nohup, processes ignore the one, and in the background of a script, the other.
    """
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def own_state_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let no run of a test see, or turn off, what this user's own runs left on."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """Let no test find the log as another left it."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def no_blocking_calls(request: pytest.FixtureRequest) -> Iterator[None]:
    """Raise where the program blocks the event loop of an async test."""
    if not inspect.iscoroutinefunction(request.function):
        yield
        return
    with blockbuster_ctx("captionfleet", excluded_modules=_MAY_BLOCK):
        yield


def _is_on_this_machine(host: object) -> bool:
    if host in {None, "", "localhost"}:
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


def _guard_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Be a machine without a network: no name is found, and nothing outside is asked."""
    if event == "socket.getaddrinfo":
        host = arguments[0].decode() if isinstance(arguments[0], bytes) else arguments[0]
        if not _is_on_this_machine(host):
            raise socket.gaierror(socket.EAI_NONAME, "no network in tests")
    elif event == "socket.connect":
        connecting, address = arguments
        is_internet = connecting.family in {socket.AF_INET, socket.AF_INET6}
        if is_internet and not _is_on_this_machine(address[0]):
            raise RuntimeError(f"a test reaches for the network: {address}")


sys.addaudithook(_guard_network)
