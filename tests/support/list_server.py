"""An S3 server of one large bucket, made up as it is asked for; one film behind all names."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_PAGE = 1000
_ENTRY = (
    "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    "<ETag>&quot;{number:032x}&quot;</ETag><Size>{size}</Size></Contents>"
)
_LISTING = (
    "<?xml version='1.0'?><ListBucketResult><Name>big</Name><KeyCount>{count}</KeyCount>"
    "<MaxKeys>1000</MaxKeys><IsTruncated>{more}</IsTruncated>{token}{entries}</ListBucketResult>"
)


@dataclass(slots=True)
class ListServer:
    """`fault` says by the number of the page, counted as they are asked for, what goes wrong.

    Words for faults: a status (`500`), `cut` (the body ends halfway).
    """

    objects: int
    film: bytes
    base_url: str = ""
    fault: Callable[[int], str] = lambda _: ""
    pages: int = 0
    lock: Any = field(default_factory=threading.Lock)


def key_of(number: int) -> str:
    """The name of an object; the names' order is the numbers'."""
    return f"films/{number:07}.mp4"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: ListServer

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._end(404, b"")

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if "list-type" in query:
            self._list(query)
        else:
            self._object()

    def _list(self, query: dict[str, list[str]]) -> None:
        served = self.served
        with served.lock:
            served.pages += 1
            fault = served.fault(served.pages)
        after = query.get("continuation-token") or query.get("start-after") or [key_of(-1)]
        first = int(after[0].removeprefix("films/").removesuffix(".mp4")) + 1
        end = min(first + _PAGE, served.objects)
        size = len(served.film)
        entries = "".join(
            _ENTRY.format(key=key_of(number), number=number, size=size)
            for number in range(first, end)
        )
        is_last = end >= served.objects
        token = (
            "" if is_last else f"<NextContinuationToken>{key_of(end - 1)}</NextContinuationToken>"
        )
        more = str(not is_last).lower()
        text = _LISTING.format(count=end - first, more=more, token=token, entries=entries)
        self._end(int(fault) if fault.isdigit() else 200, text.encode(), is_cut=fault == "cut")

    def _object(self) -> None:
        film, path = self.served.film, urlsplit(self.path).path
        name = path.rpartition("/")[2].removesuffix(".mp4")
        span = self.headers.get("Range", "")
        if not name.isdecimal() or not span:
            self._end(404, b"")
            return
        start, last = (int(one) for one in span.removeprefix("bytes=").split("-"))
        body = film[start : last + 1]
        headers = {
            "Content-Range": f"bytes {start}-{start + len(body) - 1}/{len(film)}",
            "ETag": f'"{int(name):032x}"',
            "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT",
        }
        self._end(206, body, headers)

    def _end(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        *,
        is_cut: bool = False,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if is_cut else body)
        self.close_connection = self.close_connection or is_cut


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no matter."""


@contextmanager
def list_server(objects: int, film: bytes = b"\0") -> Iterator[ListServer]:
    """Serve a bucket `big` of so many objects on this machine."""
    served = ListServer(objects, film)
    server = _Quiet(("127.0.0.1", 0), type("Handler", (_Handler,), {"served": served}))
    served.base_url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
