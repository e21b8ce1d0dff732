"""The connection pool, proxies, and what the HTTP library's exceptions mean (main process).

None of these exceptions goes further than the clients: they hold the request's headers, and with
them the key.
"""

import os
import ssl
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from urllib.parse import urlsplit

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import SecretStr

from pipeline.errors import FailureCode
from pipeline.sender.verdict import Verdict, judge

__all__ = ["BORDER", "Flight", "open_session", "proxy_for", "scrubbed", "verdict_on"]

_KEEP_ALIVE_S = 4.0  # below the 5 s after which uvicorn closes, so no request meets a closed door
_LEAST_SECRET_CHARS = 8

# Subclasses before their bases: the first that matches counts.
_CODES: tuple[tuple[type[Exception], FailureCode, str], ...] = (
    (aiohttp.ConnectionTimeoutError, FailureCode.CONNECT_FAILED, "no connection in time"),
    (aiohttp.ServerTimeoutError, FailureCode.TIMEOUT, "the server fell silent"),
    (aiohttp.ClientConnectorDNSError, FailureCode.CONNECT_FAILED, "host name not found"),
    (
        aiohttp.ClientConnectorCertificateError,
        FailureCode.CONNECT_FAILED,
        "TLS certificate not trusted",
    ),
    (aiohttp.ClientSSLError, FailureCode.CONNECT_FAILED, "TLS handshake failed"),
    (aiohttp.ClientProxyConnectionError, FailureCode.CONNECT_FAILED, "no connection to the proxy"),
    (aiohttp.ClientConnectorError, FailureCode.CONNECT_FAILED, "no connection"),
    (aiohttp.ServerFingerprintMismatch, FailureCode.CONNECT_FAILED, "TLS fingerprint differs"),
    (aiohttp.ClientHttpProxyError, FailureCode.CONNECT_FAILED, "the proxy refused"),
    (aiohttp.ClientResponseError, FailureCode.MALFORMED_ANSWER, "the answer is not HTTP"),
    (aiohttp.ClientPayloadError, FailureCode.DISCONNECTED, "the answer broke off"),
    (aiohttp.UploadAbortedError, FailureCode.DISCONNECTED, "the upload broke off"),
    (aiohttp.WSMessageTypeError, FailureCode.MALFORMED_ANSWER, "the answer is not HTTP"),
    (aiohttp.InvalidURL, FailureCode.CONNECT_FAILED, "base_url cannot be used"),
    (aiohttp.RedirectClientError, FailureCode.CONNECT_FAILED, "an impossible redirect"),
    (aiohttp.NonHttpUrlClientError, FailureCode.CONNECT_FAILED, "base_url is not HTTP"),
    (aiohttp.ClientConnectionError, FailureCode.DISCONNECTED, "the connection broke"),
    (HttpProcessingError, FailureCode.MALFORMED_ANSWER, "the answer is not HTTP"),
    (TimeoutError, FailureCode.TIMEOUT, "no complete answer in time"),
    (aiohttp.ClientError, FailureCode.DISCONNECTED, "the request failed"),
    (OSError, FailureCode.DISCONNECTED, "the connection broke"),
    (UnicodeError, FailureCode.CONNECT_FAILED, "a host name that cannot be one"),
)
BORDER = (aiohttp.ClientError, HttpProcessingError, OSError, UnicodeError)
# Their numbers are not those of the operating system.
_OWN_NUMBERS = (aiohttp.ClientConnectorDNSError, aiohttp.ClientSSLError, ssl.SSLError)


@dataclass(slots=True)
class Flight:
    """What becomes known of a request on its way: give it as `trace_request_ctx`."""

    is_on_used_connection: bool = False


async def _note_reuse(_: object, context: SimpleNamespace, __: object) -> None:
    if isinstance(context.trace_request_ctx, Flight):
        context.trace_request_ctx.is_on_used_connection = True


@asynccontextmanager
async def open_session(max_connections: int) -> AsyncIterator[aiohttp.ClientSession]:
    """The one connection pool of a run; it keeps no cookies and knows no key."""
    connector = aiohttp.TCPConnector(
        limit=max_connections, limit_per_host=0, keepalive_timeout=_KEEP_ALIVE_S
    )
    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(_note_reuse)
    async with aiohttp.ClientSession(
        connector=connector,
        trace_configs=[trace],
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "captionfleet"},
        timeout=aiohttp.ClientTimeout(total=None),
        # trust_env would also read ~/.netrc, whose entry then collides with our key.
        trust_env=False,
    ) as session:
        yield session


def verdict_on(error: Exception) -> Verdict:
    """What an exception of the HTTP library, or of the sockets below it, means."""
    code, words = next((code, words) for kind, code, words in _CODES if isinstance(error, kind))
    is_numbered = isinstance(error, OSError) and not isinstance(error, _OWN_NUMBERS)
    number = getattr(error, "errno", None) if is_numbered else None
    return judge(code, f"{words}: {os.strerror(number)}" if number else words)


def proxy_for(base_url: str) -> str | None:
    """The proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name for this deployment."""
    url = urlsplit(base_url)
    proxy = urllib.request.getproxies().get(url.scheme)
    if not proxy or urllib.request.proxy_bypass(url.hostname or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def scrubbed(text: str, key: SecretStr | None) -> str:
    """Foreign text without the key: a server may quote it, above all one that it refuses."""
    secret = key.get_secret_value() if key else ""
    # A word as short as EMPTY, which own servers are given, is no secret, and may be any other's.
    return text.replace(secret, "[key]") if len(secret) >= _LEAST_SECRET_CHARS else text
