"""Connects to a Ray cluster within a deadline, and disconnects with the run (main process).

Ray is called only in threads: it blocks, and in the main thread it would install its own SIGTERM
handler.
"""

import logging
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import Any

import anyio
from anyio import from_thread, to_thread
from anyio.lowlevel import current_token

from captionfleet.errors import ConfigError, MachineError
from captionfleet.messages import printable

__all__ = ["is_reachable", "open_ray"]

_REACH_S = 10.0
_CONNECT_S = 90.0  # a driver starts some threads and reads the cluster's state: seconds, if idle
_SHUTDOWN_S = 20.0
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_MAX_CHARS = 300


@asynccontextmanager
async def open_ray(address: str) -> AsyncIterator[Any]:
    """Yield the module `ray`, connected to the cluster at `address` (HOST:PORT, or auto).

    Raises:
        ConfigError: Ray is not installed, or the address is invalid.
        MachineError: the cluster does not exist, or takes no driver of these versions.
    """
    ray = await to_thread.run_sync(_imported)
    address = _settled(address)
    if address != "auto":
        await _reach(ray, address)
    await _connect(ray, address)
    try:
        yield ray
    finally:
        with anyio.move_on_after(_SHUTDOWN_S, shield=True), suppress(Exception):
            await _in_thread(ray.shutdown)


def _imported() -> Any:
    # Ray ends the whole process a minute after the cluster's head is gone; the run checks itself.
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", str(24 * 3600))
    try:
        ray = import_module("ray")
    except ImportError:
        raise ConfigError(
            "engine = \"ray\" in [workers] needs Ray: pip install 'captionfleet[ray]'"
        ) from None
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    # Ray prints output of dead nodes on stdout, where the run's own last line goes.
    ray._private.worker.print_to_stdstream = lambda *_, **__: None  # noqa: SLF001 - no other way
    return ray


def _settled(address: str) -> str:
    """The address in use: Ray's own environment variable decides what `auto` means."""
    where = os.environ.get("RAY_ADDRESS", "auto") if address == "auto" else address
    if "://" in where:
        raise ConfigError(
            f"workers.address {printable(where)}: the run has to be on a node of the cluster, and "
            "the address HOST:PORT or auto; start it there with `ray job submit`"
        )
    host, _, port = where.rpartition(":")
    if where != "auto" and not (host and port.isascii() and port.isdecimal()):
        raise ConfigError(f"workers.address {printable(where)}: not HOST:PORT, as in 10.0.0.1:6379")
    return where


async def _reach(ray: Any, address: str) -> None:
    """Check that something listens there: Ray itself would try for more than a minute."""
    host, _, port = address.rpartition(":")
    hosts = [host.strip("[]")]
    if hosts[0] in _LOOPBACK:  # for Ray, that is this machine's address in its network
        hosts.append(await to_thread.run_sync(ray.util.get_node_ip_address))
    if not any([await is_reachable(f"{one}:{port}") for one in hosts]):
        raise _unreachable(address, "nothing takes connections there")


async def is_reachable(address: str) -> bool:
    """Whether something takes connections at HOST:PORT."""
    host, _, port = address.rpartition(":")
    try:
        with anyio.fail_after(_REACH_S):
            stream = await anyio.connect_tcp(host.strip("[]"), int(port))
            await stream.aclose()
    except (OSError, OverflowError):  # a TimeoutError is an OSError
        return False
    return True


async def _connect(ray: Any, address: str) -> None:
    def connect() -> None:
        config = ray.job_config.JobConfig()
        # Ray makes nodes search for code in the working directory of the run first, which may hold
        # films, unless the job ships a directory of its own.
        config._runtime_env_has_working_dir = lambda: True  # noqa: SLF001 - no other way
        ray.init(
            address,
            job_config=config,
            namespace="captionfleet",
            log_to_driver=False,
            configure_logging=False,
            logging_level=logging.CRITICAL,
        )

    try:
        with anyio.fail_after(_CONNECT_S):
            await _in_thread(connect)
    except TimeoutError:
        raise _unreachable(address, f"took no driver within {_CONNECT_S:g} s") from None
    except RuntimeError as error:
        words = " ".join(str(error).split())[:_MAX_CHARS] or type(error).__name__
        raise _unreachable(address, words) from None


def _unreachable(address: str, why: str) -> MachineError:
    where = "on this machine" if address == "auto" else f"at {printable(address)}"
    return MachineError(
        f"no Ray cluster {where}: {printable(why)}: `ray status` says what runs, "
        "[workers] address names another"
    )


async def _in_thread(call: Callable[[], object]) -> None:
    """Call in a thread that may be abandoned, even at the end of the process."""
    token, done = current_token(), anyio.Event()
    problem: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - Ray may raise SystemExit
            problem.append(error)
        with suppress(Exception):  # the caller no longer waits
            from_thread.run_sync(done.set, token=token)

    threading.Thread(target=run, daemon=True, name="ray").start()
    await done.wait()
    if problem:
        raise RuntimeError(str(problem[0])) from problem[0]
