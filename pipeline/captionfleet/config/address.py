"""Addresses of servers, as people write them; pure (main process)."""

from urllib.parse import SplitResult, urlsplit

__all__ = ["is_bare", "server_url"]


def server_url(text: str) -> SplitResult | None:
    """The parts of an http or https URL with a host that can be looked up; None for other text."""
    try:
        url = urlsplit(text)
        host = url.hostname or ""
        host.encode("idna")
        is_one = url.scheme in {"http", "https"} and host and url.port != 0
    except ValueError:  # no port, no IPv6 address, or no name that DNS knows
        return None
    return url if is_one and not any(char.isspace() for char in text) else None


def is_bare(text: str) -> bool:
    """Whether it is the URL of a server with no user, password, query or fragment.

    Such parts may hold a secret, and a URL stands in logs and files.
    """
    url = server_url(text)
    return url is not None and not (url.username or url.password or url.query or url.fragment)
