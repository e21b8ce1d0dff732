"""Finds the proxy that the environment names for a server, and checks it (main process).

The check comes before any request: a SOCKS proxy would receive the key in clear text, in a protocol
that it does not speak.
"""

import os
import urllib.request
from urllib.parse import urlsplit

from captionfleet.errors import ConfigError

__all__ = ["proxy_for"]


def proxy_for(base_url: str) -> str | None:
    """The proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name for this server.

    Raises:
        ConfigError: it cannot be used. The message names the variable, because its value may hold a
            password.
    """
    url = urlsplit(base_url)
    proxy = urllib.request.getproxies().get(url.scheme)
    if not proxy or urllib.request.proxy_bypass(url.hostname or ""):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if (problem := _problem_of(proxy)) is not None:
        raise ConfigError(
            f"{_variable(url.scheme)} {problem}; correct it, or add {url.hostname} to NO_PROXY"
        )
    return proxy


def _problem_of(proxy: str) -> str | None:
    try:
        url = urlsplit(proxy)
        has_port = url.port != 0
    except ValueError:
        return "holds an address or a port that cannot be one"
    if url.scheme.startswith("socks"):
        return "names a SOCKS proxy, and only HTTP proxies can be used"
    if url.scheme not in {"http", "https"}:
        return "names no HTTP proxy (like http://proxy.example:3128)"
    if not has_port or not _can_be_host(url.hostname):
        return "holds an address or a port that cannot be one"
    return None


def _can_be_host(host: str | None) -> bool:
    """Whether the name is valid in DNS (RFC 1035); so are IP addresses."""
    if not host or any(char.isspace() for char in host):
        return False
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def _variable(scheme: str) -> str:
    """The environment variable in effect, which is the lower-case one if set."""
    lower = f"{scheme}_proxy"
    named = next((name for name in (lower, lower.upper()) if os.environ.get(name)), None)
    return f"environment variable {named}" if named else f"the system's proxy for {scheme}"
