"""Proxies that the environment names wrongly: found before anything is sent."""

import socket
from pathlib import Path

import pytest

from captionfleet.errors import ConfigError, DeploymentError
from tests.support.ready import job, ready_clip
from tests.support.sending import sent

pytestmark = pytest.mark.anyio

KEY = "fw_a-key-of-nobody"


@pytest.fixture(autouse=True)
def no_other_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the machine's own proxy play no part."""
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "http_proxy"])
@pytest.mark.parametrize(
    "value",
    [
        "http://proxy:99999", "proxy:port", "http://a..b:1", "http://:3128", "http://[::1:3128",
        "http://proxy:0", "ftp://proxy:21", "http://user:s3cret@pro xy:1",
    ],
)  # fmt: skip
async def test_the_variable_of_an_impossible_proxy_is_named(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The line says which variable to mend, and shows no password."""
    monkeypatch.setenv(variable, value)
    scheme = variable.lower().removesuffix("_proxy")
    with pytest.raises(ConfigError) as raised:
        await sent(job(f"{scheme}://deployment.invalid/v1"), [ready_clip(tmp_path)])
    line = str(raised.value)
    assert f"environment variable {variable} " in line
    assert "deployment.invalid to NO_PROXY" in line
    assert "s3cret" not in line


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "SOCKS4"])
async def test_a_socks_proxy_gets_no_key(
    scheme: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It would take HTTP for nonsense, but read it: nothing connects to it."""
    monkeypatch.setenv("SOME_KEY", KEY)
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(0)
        monkeypatch.setenv("http_proxy", f"{scheme}://127.0.0.1:{proxy.getsockname()[1]}")
        plan = job("http://deployment.invalid/v1", api_key_env="SOME_KEY")
        with pytest.raises(ConfigError, match=r"http_proxy names a SOCKS proxy"):
            await sent(plan, [ready_clip(tmp_path)])
        with pytest.raises(BlockingIOError):
            proxy.accept()


async def test_a_proxy_out_of_reach_is_not_taken_for_the_deployment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The line that ends the run names the variables."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{taken.getsockname()[1]}")
        plan = job("http://deployment.invalid/v1", request={"patience_s": 0.1})
        with pytest.raises(DeploymentError, match="HTTP_PROXY or HTTPS_PROXY"):
            await sent(plan, [ready_clip(tmp_path)])


async def test_a_proxy_that_is_not_used_may_be_impossible(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """NO_PROXY excludes hosts from a proxy of any kind, and https from that for http."""
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "deployment.invalid")
    for scheme in ("http", "https"):
        plan = job(f"{scheme}://deployment.invalid/v1", request={"patience_s": 0.1})
        with pytest.raises(DeploymentError, match="not found"):
            await sent(plan, [ready_clip(tmp_path)])
