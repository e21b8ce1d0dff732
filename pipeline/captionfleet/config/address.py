"""Checks the URLs of servers; pure (main process)."""

from urllib.parse import SplitResult, urlsplit

__all__ = ["is_bare", "server_url"]


def server_url(text: str) -> SplitResult | None:
    """The parts of an http or https URL whose host can be resolved; None for any other text."""
    try:
        url = urlsplit(text)
        host = url.hostname or ""
        host.encode("idna")
        is_one = url.scheme in {"http", "https"} and host and url.port != 0
    except ValueError:  # no port, no IPv6 address, or no name that DNS knows
        return None
    return url if is_one and not any(char.isspace() for char in text) else None


def is_bare(text: str) -> bool:
    """Whether a URL has no user, password, query or fragment.

    Those may hold a secret, and URLs are written to logs and files.
    """
    url = server_url(text)
    return url is not None and not (url.username or url.password or url.query or url.fragment)
