"""Runs first on a node, before the node's version of captionfleet is known (node of a cluster).

Ray ships this module's functions by value, so it imports only the standard library, and its results
hold no class of this program.
"""

import os
import socket
import sys
from hashlib import blake2b
from importlib import import_module, util
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["prepare_on_node", "versions_here"]

_NODE = "captionfleet.workers.cluster.node"
_PACKAGES = {"captionfleet": "captionfleet", "PyAV": "av"}


def versions_here() -> dict[str, str]:
    """All that affects prepared bytes on this machine: versions, and a hash of the program's code.

    The hash distinguishes two states of one checkout.
    """
    found = {}
    for name, package in _PACKAGES.items():
        try:
            found[name] = version(package)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found | {"captionfleet's code": _code_hash()}


def _code_hash() -> str:
    found = util.find_spec("captionfleet")
    digest = blake2b(digest_size=8)
    for folder in (found.submodule_search_locations or ()) if found else ():
        for path in sorted(Path(folder).rglob("*.py")):
            digest.update(os.fsencode(path.relative_to(folder)) + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _differences(expected: dict[str, str]) -> str:
    here = versions_here()
    differing = [name for name in expected if expected[name] != here[name]]
    return ", ".join(f"{name} is {here[name]}, and {expected[name]} here" for name in differing)


def prepare_on_node(
    expected: dict[str, str], foreign: list[str], packed: bytes
) -> tuple[tuple[str, str, bytes, str], bytes]:
    """Prepare one clip; never raises.

    Args:
        expected: the result of `versions_here` on the run's machine.
        foreign: folders that Ray adds to the search path; they may hold films, not code.
        packed: a pickled `Parcel`.

    Returns:
        The node's id and its name, a pickled `Reply` (empty if there is none), why there is none;
        and the media, one file after the other.
    """
    ray: Any = import_module("ray")
    node_id = ray.get_runtime_context().get_node_id()
    name = f"{ray.util.get_node_ip_address()} ({socket.gethostname()})"
    try:
        node = sys.modules.get(_NODE)
        if node is None:
            sys.path[:] = [one for one in sys.path if one not in foreign]
            if why := _differences(expected):
                return (node_id, name, b"", why), b""
            node = import_module(_NODE)
        reply, media = node.prepare(packed)
    except Exception as error:  # noqa: BLE001 - any error is reported with the node's name
        return (node_id, name, b"", f"{type(error).__name__}: {error}"), b""
    return (node_id, name, reply, ""), media
