"""Opens the connection pool, and classifies the exceptions of the HTTP library (main process).

None of these exceptions leaves the clients: they hold the request's headers, and with them the key.
"""

import os
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import SecretStr

from captionfleet.errors import FailureCode
from captionfleet.sender.connections import (
    MAX_AGE_S,
    MAX_HEAD_BYTES,
    HeadTooLargeError,
    OneAnswerConnector,
)
from captionfleet.sender.proxies import proxy_for
from captionfleet.sender.routing.verdict import Verdict, judge

__all__ = ["BORDER", "Flight", "open_session", "proxy_for", "scrubbed", "verdict_on"]

_KEEP_ALIVE_S = 4.0  # below the 5 s after which uvicorn closes an idle connection
_LEAST_SECRET_CHARS = 8
_PARSER_MAX_BYTES = 2**20  # above MAX_HEAD_BYTES, so that only that limit applies

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
    (
        aiohttp.ClientSSLError,
        FailureCode.CONNECT_FAILED,
        "TLS handshake failed: where the server speaks no TLS, try http://",
    ),
    (
        aiohttp.ClientProxyConnectionError,
        FailureCode.CONNECT_FAILED,
        "no connection to the proxy that HTTP_PROXY or HTTPS_PROXY names",
    ),
    (aiohttp.ClientConnectorError, FailureCode.CONNECT_FAILED, "no connection"),
    (aiohttp.ServerFingerprintMismatch, FailureCode.CONNECT_FAILED, "TLS fingerprint differs"),
    (aiohttp.ClientHttpProxyError, FailureCode.CONNECT_FAILED, "the proxy of HTTPS_PROXY refused"),
    (
        HeadTooLargeError,
        FailureCode.MALFORMED_ANSWER,
        f"the answer's headers are larger than {MAX_HEAD_BYTES >> 10} KiB",
    ),
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
# These errors carry numbers other than errno.
_OWN_NUMBERS = (aiohttp.ClientConnectorDNSError, aiohttp.ClientSSLError, ssl.SSLError)


@dataclass(slots=True)
class Flight:
    """Records the progress of a request; pass it as `trace_request_ctx`."""

    request_id: str
    is_on_used_connection: bool = False


async def _note_reuse(_: object, context: SimpleNamespace, __: object) -> None:
    if isinstance(context.trace_request_ctx, Flight):
        context.trace_request_ctx.is_on_used_connection = True


@asynccontextmanager
async def open_session(
    max_connections: int, *, max_age_s: float = MAX_AGE_S
) -> AsyncIterator[aiohttp.ClientSession]:
    """Open the one connection pool of a run; it keeps no cookies and holds no key."""
    connector = OneAnswerConnector(
        limit=max_connections, keepalive_timeout=_KEEP_ALIVE_S, max_age_s=max_age_s
    )
    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(_note_reuse)
    async with aiohttp.ClientSession(
        connector=connector,
        trace_configs=[trace],
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "captionfleet"},
        timeout=aiohttp.ClientTimeout(total=None),
        # _Connection limits the size of all headers itself.
        max_line_size=_PARSER_MAX_BYTES,
        max_field_size=_PARSER_MAX_BYTES,
        max_headers=_PARSER_MAX_BYTES,
        # trust_env would also read ~/.netrc, whose entry would collide with the key.
        trust_env=False,
    ) as session:
        yield session


def verdict_on(error: Exception) -> Verdict:
    """The verdict on an exception of the HTTP library, or of the sockets below it."""
    code, words = next((code, words) for kind, code, words in _CODES if isinstance(error, kind))
    is_numbered = isinstance(error, OSError) and not isinstance(error, _OWN_NUMBERS)
    number = getattr(error, "errno", None) if is_numbered else None
    return judge(code, f"{words}: {os.strerror(number)}" if number else words)


def scrubbed(text: str, key: SecretStr | None, sent: Iterable[str] = ()) -> str:
    """Untrusted text without the key, which a server may quote, above all one that it refuses.

    Args:
        text: the server's text.
        key: replaced by [key].
        sent: strings of extra_body, the longest first, any of which may be a secret.
    """
    secret = key.get_secret_value() if key else ""
    # A word as short as EMPTY, a common dummy key, is not a secret, and may occur anywhere.
    for words, name in ((secret, "[key]"), *((one, "[extra_body]") for one in sent)):
        if len(words) >= _LEAST_SECRET_CHARS:
            text = text.replace(words, name)
    return text
