"""Decides which API key may be sent to which server: `key_for`; reads the environment (main).

A key is identified by the name of its environment variable. It goes to a server only if a trusted
party has named the two together: the job, a flag, the environment, or this program for the vendor's
own service.
"""

import os
import re
from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import SplitResult

from pydantic import SecretStr

from captionfleet.config.address import server_url
from captionfleet.errors import ConfigError

__all__ = [
    "DEFAULT_API_BASE",
    "DEFAULT_KEY_ENV",
    "KeyPair",
    "as_variable",
    "default_pairs",
    "is_loopback",
    "is_set",
    "is_vendor",
    "key_for",
    "key_pair",
    "origin_of",
    "read_key",
    "sent_in_clear",
    "service_base",
]

DEFAULT_API_BASE = "https://api.fireworks.ai"
DEFAULT_KEY_ENV = "FIREWORKS_API_KEY"
_VENDOR = "fireworks.ai"
_PORTS = {"http": 80, "https": 443}
_VARIABLE = re.compile(r"(?!fw_|sk-)[A-Za-z_][A-Za-z0-9_]{0,99}")  # keys begin so, names do not
_KEY = re.compile(r"[!-~]+")  # what a header can hold (RFC 9110, section 5.5), without blanks

KeyPair = tuple[str, str]
"""The origin of a server and the name of a variable whose key may go there."""


def service_base() -> str:
    """The service's base URL: from the environment, or the vendor's own."""
    return os.environ.get("FIREWORKS_BASE_URL") or DEFAULT_API_BASE


def default_pairs(service: str) -> frozenset[KeyPair]:
    """The pairs that no job has to name: those of the default key."""
    return frozenset(key_pair(url, DEFAULT_KEY_ENV) for url in (DEFAULT_API_BASE, service))


def key_pair(url: str, variable: str) -> KeyPair:
    """The pair of a URL's origin and a key variable."""
    return origin_of(url), variable


def key_for(url: str, variable: str | None, named: Collection[KeyPair]) -> str:
    """The variable whose key may be sent to a server; empty if none may.

    Args:
        url: The server.
        variable: The variable that the job names. None means the default variable, which may
            also go to the vendor's other hosts and to this machine.
        named: The pairs that are allowed.
    """
    if not origin_of(url):
        return ""
    if variable is None and (is_loopback(url) or (is_vendor(url) and _is_encrypted(url))):
        return DEFAULT_KEY_ENV
    wanted = DEFAULT_KEY_ENV if variable is None else variable
    return wanted if key_pair(url, wanted) in named else ""


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL, normalised; empty for other text."""
    parts = server_url(url)
    if parts is None:
        return ""
    host, port = _host(parts), parts.port or _PORTS[parts.scheme]
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def is_vendor(url: str) -> bool:
    """Whether the host belongs to Fireworks."""
    host = _host(server_url(url))
    return host == _VENDOR or host.endswith(f".{_VENDOR}")


def is_loopback(url: str) -> bool:
    """Whether the host is this machine, by a loopback name or address."""
    host = _host(server_url(url))
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def sent_in_clear(url: str) -> bool:
    """Whether a request to the server crosses a network unencrypted."""
    return not _is_encrypted(url) and not is_loopback(url)


def as_variable(name: str | None) -> str | None:
    """Check the name of a variable; refuse, without repeating it, what looks like a key.

    Raises:
        ValueError: it cannot be the name of a variable.
    """
    if name and not _VARIABLE.fullmatch(name):
        raise ValueError(
            "this is the NAME of an environment variable, as in FIREWORKS_API_KEY, and this text "
            "cannot be one: if it is the key itself, put it into a variable (export NAME=...)"
        )
    return name


def is_set(variable: str) -> bool:
    """Whether a variable has a value."""
    return bool(os.environ.get(variable, "").strip())


def _is_encrypted(url: str) -> bool:
    parts = server_url(url)
    return parts is not None and parts.scheme == "https"


def _host(parts: SplitResult | None) -> str:
    return (parts.hostname or "").rstrip(".") if parts else ""


def read_key(variable: str, whose: str = "") -> SecretStr | None:
    """The key in a variable; None if it is not set.

    `whose` is appended to the error message.

    Raises:
        ConfigError: the value has characters that an HTTP header cannot hold.
    """
    value = os.environ.get(variable, "").strip() if variable else ""
    if value and not _KEY.fullmatch(value):
        what = f"environment variable {variable} holds characters that no key has"
        raise ConfigError(f"{what} {whose}".rstrip())
    return SecretStr(value) if value else None
