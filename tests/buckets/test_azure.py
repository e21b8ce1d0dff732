"""Containers of Azurite, an Azure Blob server, where one is on the PATH: npm install -g azurite."""

import base64
import hashlib
import hmac
import http.client
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.buckets.fault_proxy import FaultProxy, fault_proxy
from tests.support.nights import Nights
from tests.support.tiny_films import Library

obstore: Any = pytest.importorskip("obstore")
AZURITE = shutil.which("azurite-blob")
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(AZURITE is None, reason="no azurite-blob: npm install -g azurite"),
]

# Azurite's own account, which its documentation names.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_START_S = 60.0


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """A container called films, and an environment that leads to it through a proxy."""
    command = [str(AZURITE), "--inMemoryPersistence", "--skipApiVersionCheck"]
    command += ["--disableTelemetry", "--blobPort", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path) as process:
        try:
            port = _port(process)
            with fault_proxy(port) as proxy:
                _make_container(port, "films")
                for name, value in {
                    "AZURE_STORAGE_USE_EMULATOR": "true",
                    "AZURITE_BLOB_STORAGE_URL": proxy.base_url,
                    "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
                    "AZURE_STORAGE_ACCOUNT_KEY": KEY,
                }.items():
                    monkeypatch.setenv(name, value)
                yield proxy
        finally:
            process.kill()


def _port(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout is not None
    said = b""
    while b"successfully listen" not in said:
        assert select.select([process.stdout], [], [], _START_S)[0], said
        part = os.read(process.stdout.fileno(), 4096)
        assert part, said
        said += part
    return int(said.rpartition(b"127.0.0.1:")[2].split()[0])


def _make_container(port: int, name: str) -> None:
    """By a request signed as the service wants it: the library makes no containers."""
    date, version = formatdate(usegmt=True), "2021-08-06"
    place = f"/{ACCOUNT}/{name}"
    words = f"x-ms-date:{date}\nx-ms-version:{version}\n/{ACCOUNT}{place}\nrestype:container"
    text = "PUT" + "\n" * 12 + words
    digest = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
    headers = {
        "x-ms-date": date,
        "x-ms-version": version,
        "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}",
        "Content-Length": "0",
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_START_S)
    connection.request("PUT", f"{place}?restype=container", headers=headers)
    assert connection.getresponse().status == 201
    connection.close()


async def test_a_container_is_captioned_and_holds_the_copy(
    azure: FaultProxy, library: Library, nights: Nights
) -> None:
    """Listed, read by range and written; faults that pass cost nothing, others have their codes."""
    store = obstore.store.from_url("az://films", client_options={"allow_http": True})
    for number in range(4):
        await obstore.put_async(store, f"videos/{number}.mp4", library.films[number])

    def fault(key: str, number: int) -> str:
        if key.endswith("/1.mp4"):
            return {1: "500", 2: "503", 3: "cut"}.get(number, "")
        return "403" if key.endswith("/2.mp4") else "404" if key.endswith("/3.mp4") else ""

    azure.fault = fault
    there: dict[str, dict[str, Any]] = {
        "input": {"sources": ["az://films/videos"]},
        "output": {"copy_to": "az://films/night"},
    }
    async with serving(StandinOptions()) as standin:
        first = await nights.run(standin, **there)
        shutil.rmtree(nights.output.folder)
        second = await nights.run(standin, **there)

    assert {line["source"]: line["code"] for line in nights.output.failures} == {
        "2.mp4": "source_unreadable",
        "3.mp4": "source_missing",
    }
    assert (first.captioned, second.captioned, second.already_captioned) == (2, 0, 2)
    assert first.copy["is_current"]
    files = filter(Path.is_file, nights.folder.rglob("*"))
    assert not any(KEY.encode() in path.read_bytes() for path in files)
