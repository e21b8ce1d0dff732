"""Starts real servers and proxies as processes, and ends them."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "LETTERS",
    "PRINTABLE",
    "Server",
    "free_port",
    "haproxy",
    "litellm",
    "llama",
    "nginx",
    "vllm",
]

_END_S = 20
_POLL_S = 0.5
_VLLM_START_S = 600  # a busy machine of two cores
_PROXY_START_S = 120
_VLLM_FLAGS = {
    "--load-format": "dummy",
    "--max-model-len": "32768",
    "--max-num-seqs": "4",
    "--limit-mm-per-prompt": json.dumps({"video": 1, "audio": 1, "image": 64}),
    "--media-io-kwargs": json.dumps({"video": {"num_frames": -1}}),
    "--mm-processor-cache-gb": "0",
    "--structured-outputs-config": json.dumps(
        {"backend": "xgrammar", "disable_any_whitespace": True}
    ),
}
PRINTABLE = {"allowed_token_ids": list(range(ord("~") - ord("!") + 1))}
"""Lets the tiny model write letters, figures and signs alone, whose bytes have its first tokens.

Random weights would else write blanks now and then, and an empty caption is a failure.
"""
LETTERS = {"grammar": "root ::= [a-z ]{4}[a-z]+"}
"""The same for llama-server."""
Words = list[str | Path]

_VLLM_SWITCHES = ("--enforce-eager", "--skip-mm-profiling", "--enable-prompt-tokens-details")


@dataclass(slots=True)
class Server:
    """One server process and its children."""

    base_url: str
    process: "subprocess.Popen[bytes]"

    def kill(self) -> None:
        """Kill -9, the children too."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(_END_S)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def vllm(python: Path, folder: Path) -> Iterator[Server]:
    """Serve the tiny model, with the flags that jobs/own-vllm.toml names."""
    port = free_port()
    words: Words = [python, "-m", "vllm.entrypoints.launchers.api_server.entry"]
    words += ["--model", folder / "tiny", "--served-model-name", "qwen3-omni"]
    words += ["--host", "127.0.0.1", "--port", str(port), *_VLLM_SWITCHES]
    for flag, value in _VLLM_FLAGS.items():
        words += [flag, value]
    environment = {
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_TARGET_DEVICE": "cpu",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "2",
        "HOME": str(folder),
    }
    log = folder / f"vllm-{port}.log"
    with _serving(words, f"http://127.0.0.1:{port}/v1", log, _VLLM_START_S, environment) as server:
        yield server


@contextmanager
def llama(python: Path, folder: Path) -> Iterator[Server]:
    """llama-server with a tiny Qwen2-VL."""
    port, program = free_port(), Path(__file__).with_name("tiny_llama.py")
    words: Words = [python, program, folder / "tiny-llama", str(port)]
    url, log = f"http://127.0.0.1:{port}/v1", folder / "llama.log"
    with _serving(words, url, log, _PROXY_START_S, {"HOME": str(folder)}) as server:
        yield server


@contextmanager
def litellm(python: Path, folder: Path, base_url: str) -> Iterator[Server]:
    """LiteLLM's proxy in front of a server."""
    config, port = folder / "litellm.json", free_port()
    upstream = {"model": "openai/qwen3-omni", "api_base": base_url, "api_key": "none"}
    # LiteLLM reads YAML, of which JSON is a part.
    config.write_text(
        json.dumps({"model_list": [{"model_name": "qwen3-omni", "litellm_params": upstream}]})
    )
    words: Words = [python.with_name("litellm"), "--config", config]
    words += ["--host", "127.0.0.1", "--port", str(port)]
    url, log = f"http://127.0.0.1:{port}/v1", folder / "litellm.log"
    with _serving(words, url, log, _PROXY_START_S, {"HOME": str(folder)}) as server:
        yield server


@contextmanager
def nginx(program: Path, folder: Path, base_url: str) -> Iterator[Server]:
    """Nginx with bodies as large as ours; without that line it answers 413 from 1 MB on."""
    port, upstream = free_port(), base_url.removesuffix("/v1")
    paths = "".join(
        f"{kind}_temp_path {folder}/nginx-{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {paths} client_max_body_size 32m;\n"
        f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {upstream};\n"
        "proxy_http_version 1.1; proxy_buffering off; proxy_read_timeout 600s; } } }\n"
    )
    words: Words = [program, "-p", folder, "-c", config]
    url, log = f"http://127.0.0.1:{port}/v1", folder / "nginx.log"
    with _serving(words, url, log, _PROXY_START_S) as server:
        yield server


@contextmanager
def haproxy(program: Path, folder: Path, base_url: str) -> Iterator[Server]:
    """HAProxy in front of a server."""
    port, upstream = free_port(), base_url.removesuffix("/v1").removeprefix("http://")
    config = folder / "haproxy.cfg"
    config.write_text(
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 600s\n"
        "  timeout server 600s\n"
        f"frontend in\n  bind 127.0.0.1:{port}\n  default_backend out\n"
        f"backend out\n  server one {upstream}\n"
    )
    words: Words = [program, "-db", "-f", config]
    url, log = f"http://127.0.0.1:{port}/v1", folder / "haproxy.log"
    with _serving(words, url, log, _PROXY_START_S) as server:
        yield server


@contextmanager
def _serving(
    words: Sequence[str | Path],
    base_url: str,
    log: Path,
    start_s: float,
    environment: Mapping[str, str] = {},
) -> Iterator[Server]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
            start_new_session=True,
        )
    server = Server(base_url, process)
    try:
        _wait_until_ready(server, log, start_s)
        yield server
    finally:
        server.kill()


def _wait_until_ready(server: Server, log: Path, start_s: float) -> None:
    deadline_s = time.monotonic() + start_s
    while time.monotonic() < deadline_s:
        if server.process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{server.base_url}/models", timeout=5):  # noqa: S310 - loopback
                return
        except (urllib.error.URLError, OSError):
            time.sleep(_POLL_S)
    raise RuntimeError(f"the server did not start: see {log}")
