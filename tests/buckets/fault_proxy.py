"""A proxy before an S3 server that hands requests on, and misbehaves as it is asked."""

import http.client
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_UPSTREAM_S = 60.0
_HOP_BY_HOP = frozenset({"connection", "content-length", "date", "server", "transfer-encoding"})
_ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>refused</Message></Error>"


@dataclass(slots=True)
class FaultProxy:
    """`fault` says by the object's key (empty for a listing) and the request's number what fails.

    Words for faults: a status (`500`), `cut` (the body ends halfway), `stall` (no answer comes
    before the test ends), or any call that a test wants to happen first, which gives one of these.
    """

    upstream_port: int
    base_url: str = ""
    fault: Callable[[str, int], str] = lambda *_: ""
    requests: Counter[str] = field(default_factory=Counter)
    signers: set[str] = field(default_factory=set)
    sent_bytes: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)
    lock: Any = field(default_factory=threading.Lock)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultProxy

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        proxy = self.proxy
        parts = urlsplit(self.path)
        key = "" if "list-type" in parse_qs(parts.query) else parts.path.split("/", 2)[-1]
        key = unquote(key)
        with proxy.lock:
            proxy.requests[key] += 1
            proxy.signers.add(self.headers.get("Authorization", ""))
            fault = proxy.fault(key, proxy.requests[key])
        if fault == "stall":
            proxy.is_over.wait()
            self.close_connection = True
            return
        if fault.isdigit():
            self._send(int(fault), {}, _ERROR.format("NoSuchKey").encode())
            return
        status, headers, body = self._upstream()
        self._send(status, headers, body, is_cut=fault == "cut")

    def _upstream(self) -> tuple[int, dict[str, str], bytes]:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        upstream = http.client.HTTPConnection(
            "127.0.0.1", self.proxy.upstream_port, timeout=_UPSTREAM_S
        )
        try:
            upstream.request(self.command, self.path, body or None, dict(self.headers.items()))
            answer = upstream.getresponse()
            headers = dict(answer.getheaders())
            if self.command == "HEAD":
                headers["X-Length"] = headers.get("Content-Length", "0")
            return answer.status, headers, answer.read()
        finally:
            upstream.close()

    def _send(
        self, status: int, headers: dict[str, str], body: bytes, *, is_cut: bool = False
    ) -> None:
        self.send_response(status)
        length = headers.pop("X-Length", str(len(body)))
        for name, value in headers.items():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        sent = body[: len(body) // 2] if is_cut else body
        try:
            self.wfile.write(b"" if self.command == "HEAD" else sent)
        except OSError:  # they hung up
            self.close_connection = True
        with self.proxy.lock:
            self.proxy.sent_bytes += len(sent)
        self.close_connection = self.close_connection or is_cut


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no matter."""


@contextmanager
def fault_proxy(upstream_port: int) -> Iterator[FaultProxy]:
    """A proxy before the server of this port, on this machine."""
    proxy = FaultProxy(upstream_port)
    server = _Quiet(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": proxy}))
    proxy.base_url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        proxy.is_over.set()
        server.shutdown()
        thread.join()
        server.server_close()
