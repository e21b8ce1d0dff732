"""A web server that sends parts of files, counts what it sent, and misbehaves as it is asked."""

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_CHUNK_BYTES = 1 << 16

Fault = Callable[["RangeServer", str, int], str]
"""By server, name and the number of this request for it: "", or what goes wrong with it."""


@dataclass(slots=True)
class RangeServer:
    """Serves the files of `folder`; `fault` says what goes wrong with a request, if anything.

    Words for faults: a status (`500`), `cut` (the body ends halfway), `whole` (no ranges),
    `unversioned` (no ETag and no time), `replicas` (an ETag of its own in each answer, and the
    time), `timed` (ETag and time), `weak` (a weak ETag), `now` (an ETag, and another time of
    change in each answer, as some programs give it).
    """

    folder: Path
    base_url: str = ""
    fault: Fault = lambda *_: ""
    sent_bytes: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    asked: list[str] = field(default_factory=list)
    lock: Any = field(default_factory=threading.Lock)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: RangeServer

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        served, name = self.served, unquote(urlsplit(self.path).path).lstrip("/")
        with served.lock:
            served.requests[name] += 1
            served.asked.append(self.path)
            fault = served.fault(served, name, served.requests[name])
        path = served.folder / name
        if fault.isdigit() or not path.is_file():
            self._end(int(fault) if fault.isdigit() else 404)
            return
        facts = path.stat()
        span = self._span(facts.st_size) if fault != "whole" else None
        if span is not None and span[0] >= facts.st_size:
            self._end(416)
            return
        start, end = span or (0, facts.st_size)
        self.send_response(206 if span else 200)
        if span:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{facts.st_size}")
        self._say_version(fault, facts, served.requests[name])
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        if with_body:
            self._send(path, start, start + (end - start) // 2 if fault == "cut" else end)
        self.close_connection = self.close_connection or fault == "cut"

    def _say_version(self, fault: str, facts: os.stat_result, number: int) -> None:
        if fault == "unversioned":
            return
        etag = f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"'
        own = {"replicas": f'"{number}"', "weak": f"W/{etag}"}
        self.send_header("ETag", own.get(fault, etag))
        if fault in {"replicas", "timed"}:
            self.send_header("Last-Modified", formatdate(facts.st_mtime, usegmt=True))
        if fault == "now":
            self.send_header("Last-Modified", formatdate(1e9 + 60 * number, usegmt=True))

    def _span(self, size_bytes: int) -> tuple[int, int] | None:
        asked = self.headers.get("Range", "")
        if not asked.startswith("bytes="):
            return None
        start, _, last = asked.removeprefix("bytes=").partition("-")
        return int(start), min(int(last) + 1, size_bytes)

    def _send(self, path: Path, start: int, end: int) -> None:
        with path.open("rb") as file:
            file.seek(start)
            while start < end and (part := file.read(min(_CHUNK_BYTES, end - start))):
                try:
                    self.wfile.write(part)
                except OSError:  # they hung up
                    self.close_connection = True
                    return
                start += len(part)
                with self.served.lock:
                    self.served.sent_bytes += len(part)

    def _end(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no matter."""


@contextmanager
def range_server(folder: Path) -> Iterator[RangeServer]:
    """Serve the files of a folder on this machine."""
    served = RangeServer(folder)
    handler = type("Handler", (_Handler,), {"served": served})
    server = _Quiet(("127.0.0.1", 0), handler)
    served.base_url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def change(path: Path, by_s: int = 0) -> None:
    """Make a file another version of itself."""
    facts = path.stat()
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1 + by_s * 10**9))
