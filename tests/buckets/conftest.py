"""A real S3 server in a process of its own, with a proxy before it."""

import itertools
import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.buckets.fault_proxy import FaultProxy, fault_proxy
from tests.support.command import Command
from tests.support.nights import Nights
from tests.support.tiny_films import Library, shared_library

boto3 = pytest.importorskip("boto3", reason="make test-buckets installs it")
pytest.importorskip("moto", reason="make test-buckets installs it")

KEY, SECRET = "AKIAHUSHHUSHHUSHHUSH", "hush/secret/hush/secret/hush/secret/hush"
_START_S = 120.0
_numbers = itertools.count()


@dataclass(slots=True)
class Bucket:
    """A bucket of the test's own, reached through a proxy."""

    name: str
    proxy: FaultProxy
    client: Any

    @property
    def url(self) -> str:
        """Its address."""
        return f"s3://{self.name}"

    def put(self, key: str, data: bytes | Path = b"") -> None:
        """Write an object."""
        body = data.read_bytes() if isinstance(data, Path) else data
        self.client.put_object(Bucket=self.name, Key=key, Body=body)

    def keys(self) -> set[str]:
        """The names of its objects."""
        found = self.client.list_objects_v2(Bucket=self.name)
        return {one["Key"] for one in found.get("Contents", ())}

    def get(self, key: str) -> bytes:
        """Read an object."""
        body: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return body


@pytest.fixture(scope="session")
def moto_port() -> Iterator[int]:
    """The port of an S3 server that runs for the session."""
    command = [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        stderr = process.stderr.fileno()
        reader = threading.Thread(target=_drain, args=(stderr,))
        try:
            port = _port(stderr)
            reader.start()
            yield port
        finally:
            process.kill()
            if reader.ident is not None:
                reader.join()


def _drain(stderr: int) -> None:
    """Read the server's log of requests: it would wait for a reader once the pipe is full."""
    while os.read(stderr, 65_536):
        pass


def _port(stderr: int) -> int:
    said = b""
    while b"Running on http://127.0.0.1:" not in said or not said.endswith(b"\n"):
        assert select.select([stderr], [], [], _START_S)[0], said
        part = os.read(stderr, 4096)
        assert part, said
        said += part
    return int(said.split(b"127.0.0.1:")[1].split()[0])


@pytest.fixture
def bucket(moto_port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    """An empty bucket, and an environment that leads to it through the proxy."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }.items():
        monkeypatch.setenv(name, value)
    with fault_proxy(moto_port) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.base_url)
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{moto_port}",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - of no server but the test's
        )
        name = f"library-{next(_numbers)}"
        client.create_bucket(Bucket=name)
        yield Bucket(name, proxy, client)
        client.close()


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Some films."""
    return shared_library(tmp_path_factory)


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    """Runs into one folder."""
    return Nights(tmp_path, tmp_path / "store")


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The command, run in the test's own folder."""
    return Command(tmp_path)
