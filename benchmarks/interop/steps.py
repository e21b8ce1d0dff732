"""What the program is asked to do with each server, and what has to come of it."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.interop.servers import Server

__all__ = ["Bench", "FailedStepError", "Step", "steps_of"]

_STEP_S = 900
_CLIPS = 32
_MODEL = "qwen3-omni"
_SCHEMA = {
    "type": "object",
    "properties": {"people": {"enum": ["none", "some"]}, "indoors": {"type": "boolean"}},
    "required": ["people", "indoors"],
    "additionalProperties": False,
}


class FailedStepError(Exception):
    """A step whose outcome is not as it has to be; its text says how."""


@dataclass(frozen=True, slots=True)
class Bench:
    """The clips, and a folder for the jobs and their output."""

    videos: Path
    folder: Path
    max_tokens: int = 16

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run the program."""
        return subprocess.run(
            [sys.executable, "-m", "captionfleet", *words],
            capture_output=True,
            text=True,
            timeout=_STEP_S,
            check=False,
            cwd=self.folder,
        )

    def job(self, name: str, urls: Sequence[str], **request: Any) -> Path:
        """Write a job file for these deployments."""
        request = {"stream": False, "max_tokens": self.max_tokens} | request
        lines = ["[input]", f"sources = [{json.dumps(str(self.videos))}]", "[request]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in request.items()]
        lines += ["[workers]", "processes = 1", "[output]", f'dir = "{name}"', "report = false"]
        for number, url in enumerate(urls):
            lines += ["[[deployments]]", f'name = "d{number}"', f'base_url = "{url}"']
            lines += [f'model = "{_MODEL}"', 'api_key_env = ""', 'provider = "openai"']
            lines += ["max_in_flight = 4"]
        path = self.folder / f"{name}.toml"
        path.write_text("\n".join(lines) + "\n")
        return path

    def run(self, name: str, urls: Sequence[str], **request: Any) -> list[dict[str, Any]]:
        """Caption all clips; return the captions lines."""
        ended = self.command("run", "--job", str(self.job(name, urls, **request)), "--quiet")
        return self.captions(name, ended)

    def captions(
        self, name: str, ended: "subprocess.CompletedProcess[str]"
    ) -> list[dict[str, Any]]:
        """The captions lines of a run that has ended well, one for each clip."""
        if ended.returncode != 0:
            raise FailedStepError(f"exit code {ended.returncode}: {_last(ended)}")
        path = self.folder / name / "captions.jsonl"
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        if len({line["clip_id"] for line in lines}) != len(lines) or len(lines) != _CLIPS:
            raise FailedStepError(f"{len(lines)} lines for {_CLIPS} clips")
        return lines


Step = tuple[str, Callable[[Bench, Sequence[Server]], str]]


def steps_of(*, is_vllm: bool) -> list[Step]:
    """The steps of one server: the stand-in behind a proxy, or vLLM itself."""
    steps: list[Step] = [("check", _check), ("run", _run), ("run, streamed", _run_streamed)]
    if is_vllm:
        steps += [("response_schema", _schema)]
        steps += [("bench", _bench), ("kill -9 of one of two", _kill_one)]
    return steps


def _check(bench: Bench, servers: Sequence[Server]) -> str:
    """A model of random weights reads no digit, but its server keeps every frame and the sound."""
    job = bench.job("checked", [servers[0].base_url])
    ended = bench.command("check", "--job", str(job), "--json")
    try:
        findings = {one["check"]: one for one in json.loads(ended.stdout)["findings"]}
    except (ValueError, KeyError, TypeError):
        raise FailedStepError(_last(ended)) from None
    for name in ("reachable", "model", "frames"):
        level = findings.get(name, {}).get("level")
        if level != "ok":
            raise FailedStepError(f"{name}: {findings.get(name, {}).get('text', level)}")
    return str(findings["frames"]["text"])


def _run(bench: Bench, servers: Sequence[Server]) -> str:
    lines = bench.run("whole", [servers[0].base_url])
    return f"{len(lines)} captions, {_prompt_tokens(lines):,} prompt tokens"


def _run_streamed(bench: Bench, servers: Sequence[Server]) -> str:
    lines = bench.run("streamed", [servers[0].base_url], stream=True)
    if not all(line["latency"]["ttft_s"] > 0 for line in lines):
        raise FailedStepError("no time to the first token")
    return f"{len(lines)} captions, {_prompt_tokens(lines):,} prompt tokens"


def _schema(bench: Bench, servers: Sequence[Server]) -> str:
    path = bench.folder / "schema.json"
    path.write_text(json.dumps(_SCHEMA))
    lines = bench.run("schema", [servers[0].base_url], response_schema=str(path), max_tokens=64)
    for line in lines:
        if json.loads(line["data"]).keys() != set(_SCHEMA["required"]):
            raise FailedStepError(f"data is {line['data']}")
    return f"{len(lines)} answers fit"


def _bench(bench: Bench, servers: Sequence[Server]) -> str:
    job = bench.job("benched", [servers[0].base_url])
    out = bench.folder / "bench.json"
    ended = bench.command(
        "bench", "--job", str(job), "--in-flight", "2", "--requests", "12", "--out", str(out)
    )
    if ended.returncode != 0:
        raise FailedStepError(f"exit code {ended.returncode}: {_last(ended)}")
    return "a load of 2 in flight was measured"


def _kill_one(bench: Bench, servers: Sequence[Server]) -> str:
    """One of two servers is killed as soon as it has captioned; the other does the rest."""
    first, second = servers
    job = bench.job("killed", [first.base_url, second.base_url])
    words = [sys.executable, "-m", "captionfleet", "run", "--job", str(job), "--quiet"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=bench.folder
    ) as running:
        path, deadline_s = bench.folder / "killed" / "captions.jsonl", time.monotonic() + _STEP_S
        while not _captioned_by(path, "d1") and time.monotonic() < deadline_s:
            if running.poll() is not None:
                raise FailedStepError("the run ended before the kill")
            time.sleep(0.1)
        second.kill()
        output, errors = running.communicate(timeout=_STEP_S)
    ended = subprocess.CompletedProcess(words, running.returncode, output, errors)
    by = [line["deployment"] for line in bench.captions("killed", ended)]
    return f"{by.count('d0')} and {by.count('d1')} captions"


def _captioned_by(path: Path, deployment: str) -> bool:
    try:
        return f'"deployment":"{deployment}"' in path.read_text()
    except FileNotFoundError:
        return False


def _prompt_tokens(lines: Sequence[Mapping[str, Any]]) -> int:
    return sum(line["usage"]["prompt_tokens"] for line in lines)


def _last(ended: "subprocess.CompletedProcess[str]") -> str:
    words = (ended.stderr.strip() or ended.stdout.strip()).splitlines()
    return words[-1] if words else "no word"
