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
from captionfleet.profiles import profile_of

__all__ = ["Bench", "FailedStepError", "Step", "steps_of"]

_STEP_S = 900
_CLIPS = 32
_SOUND_SLACK_TOKENS = 2
_PICTURES = {"video_as": "frames", "audio_as": "input_audio"}
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"people": {"enum": ["none", "some"]}, "indoors": {"type": "boolean"}},
    "required": ["people", "indoors"],
    "additionalProperties": False,
}


class FailedStepError(Exception):
    """A step whose outcome is not as it has to be; its text says how."""


@dataclass(frozen=True, slots=True)
class Bench:
    """The clips, a folder for the jobs and their output, and what every job says.

    `server` is the kind of server as a job names it.
    """

    videos: Path
    folder: Path
    server: str = "auto"
    model: str = "qwen3-omni"
    max_tokens: int = 16
    extra_body: Mapping[str, Any] | None = None

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

    def job(
        self,
        name: str,
        urls: Sequence[str],
        deployment: Mapping[str, Any] = {},
        **request: Any,
    ) -> Path:
        """Write a job file for these deployments."""
        request = {"stream": False, "max_tokens": self.max_tokens} | request
        lines = ["[input]", f"sources = [{json.dumps(str(self.videos))}]", "[request]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in request.items()]
        lines += ["[workers]", "processes = 1", "[output]", f'dir = "{name}"', "report = false"]
        for number, url in enumerate(urls):
            lines += ["[[deployments]]", f'name = "d{number}"', f'base_url = "{url}"']
            lines += [f'model = "{self.model}"', 'api_key_env = ""', 'provider = "openai"']
            lines += ["max_in_flight = 4", f'server = "{self.server}"']
            lines += [f"{key} = {json.dumps(value)}" for key, value in deployment.items()]
            if self.extra_body is not None and "response_schema" not in request:
                lines += ["[deployments.extra_body]"]
                lines += [f"{key} = {json.dumps(value)}" for key, value in self.extra_body.items()]
        path = self.folder / f"{name}.toml"
        path.write_text("\n".join(lines) + "\n")
        return path

    def run(
        self,
        name: str,
        urls: Sequence[str],
        deployment: Mapping[str, Any] = {},
        **request: Any,
    ) -> list[dict[str, Any]]:
        """Caption all clips; return the captions lines."""
        job = self.job(name, urls, deployment, **request)
        return self.captions(name, self.command("run", "--job", str(job), "--quiet"))

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


def steps_of(name: str) -> list[Step]:
    """The steps of one server: the stand-in behind a proxy, or a model's server itself."""
    steps: list[Step] = [("check", _check), ("run", _run), ("run, streamed", _run_streamed)]
    if name == "llama-server":
        steps += [("response_schema", _schema), ("fewer frames", _fewer_frames)]
        steps += [("sound", _sound_beside_pictures)]
    if name == "vllm":
        steps += [("response_schema", _schema), ('`video_as = "frames"`', _frames)]
        steps += [("check of frames", _check_frames), ("forms of sound", _sounds)]
        steps += [("bench", _bench), ("kill -9 of one of two", _kill_one)]
    return steps


def _check(bench: Bench, servers: Sequence[Server]) -> str:
    """A model of random weights reads no digit, but its server keeps every frame and the sound."""
    return _checked(bench, bench.job("checked", [servers[0].base_url]))


def _checked(bench: Bench, job: Path) -> str:
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


def _frames(bench: Bench, servers: Sequence[Server]) -> str:
    """The clips as pictures, in two heights: what the server counts, every frame has cost."""
    told = []
    for height in (360, 180):
        own = {**_PICTURES, "frames.height": height}
        lines = bench.run(f"frames-{height}", [servers[0].base_url], own)
        told.append({line["source"]: line for line in lines})
    counted = profile_of(bench.model).picture_tokens
    assert counted is not None  # noqa: S101 - it is a Qwen
    pictures = 0
    for source, tall in told[0].items():
        small = told[1][source]
        sizes = [(one["media"]["width"], one["media"]["height"]) for one in (tall, small)]
        frames = tall["media"]["frames"]
        expected = frames * (counted(*sizes[0]) - counted(*sizes[1]))
        cost = tall["usage"]["prompt_tokens"] - small["usage"]["prompt_tokens"]
        if cost != expected:
            raise FailedStepError(f"{source}: {frames} frames cost {cost} more, not {expected}")
        pictures += frames
    tokens = _prompt_tokens(list(told[0].values()))
    return f"{len(told[0])} captions, all {pictures} frames counted, {tokens:,} prompt tokens"


def _sound_beside_pictures(bench: Bench, servers: Sequence[Server]) -> str:
    """WAV and MP3 cost tokens where a clip has sound, and silent clips cost none more."""
    urls, hearing = [servers[0].base_url], {"modalities": ["video", "audio"]}
    silent = {line["source"]: line for line in bench.run("deaf", urls)}
    for audio_format in ("wav", "mp3"):
        own = hearing | {"audio_format": audio_format}
        for line in bench.run(f"sound-{audio_format}", urls, own):
            before = silent[line["source"]]["usage"]["prompt_tokens"]
            cost = line["usage"]["prompt_tokens"] - before
            if (cost > 0) != line["media"]["has_audio"]:
                raise FailedStepError(f"{line['source']}, {audio_format}: {cost} tokens of sound")
    checked = _checked(bench, bench.job("checked-sound", urls, hearing))
    return f"wav and mp3: 32 captions each, sound counted; {checked}"


def _fewer_frames(bench: Bench, servers: Sequence[Server]) -> str:
    """At most three, two and one frame of each clip: every further one costs what the last did."""
    told = []
    for most in (3, 2, 1):
        own = {"video_as": "frames", "frames.max_frames": most}
        lines = bench.run(f"frames-{most}", [servers[0].base_url], own)
        told.append({line["source"]: line for line in lines})
    for source, line in told[0].items():
        three, two, one = (each[source]["usage"]["prompt_tokens"] for each in told)
        frames = line["media"]["frames"]
        each = two - one if frames > 1 else 0
        if (each > 0) != (frames > 1) or three - two != each * (frames > 2):
            raise FailedStepError(f"{source}: {frames} frames took {three}, {two} and {one} tokens")
    pictures = sum(line["media"]["frames"] for line in told[0].values())
    return f"{len(told[0])} captions, all {pictures} frames cost the same each"


def _check_frames(bench: Bench, servers: Sequence[Server]) -> str:
    job = bench.job("checked-frames", [servers[0].base_url], _PICTURES)
    return _checked(bench, job)


def _sounds(bench: Bench, servers: Sequence[Server]) -> str:
    """The sound in each form that jobs may name costs what the usual one does."""
    told: list[str] = []
    usual: dict[str, int] = {}
    for audio_as in ("audio_url", "input_audio"):
        for audio_format in ("ogg", "wav", "mp3"):
            tokens = _sound_tokens(bench, servers, audio_as, audio_format)
            usual = usual or tokens
            for source, count in tokens.items():
                # An MP3 is longer by a frame or two of 72 ms, and a second is 13 tokens.
                if abs(count - usual[source]) > _SOUND_SLACK_TOKENS:
                    what = f"{audio_as}, {audio_format}: {source}"
                    raise FailedStepError(f"{what} took {count} tokens, not {usual[source]}")
            told.append(f"{audio_as} {audio_format}")
    return f"{', '.join(told)}: {len(usual)} captions each, as many tokens"


def _sound_tokens(
    bench: Bench, servers: Sequence[Server], audio_as: str, audio_format: str
) -> dict[str, int]:
    form = {"audio_as": audio_as, "audio_format": audio_format}
    lines = bench.run(f"sound-{audio_as}-{audio_format}", [servers[0].base_url], form)
    return {line["source"]: line["usage"]["prompt_tokens"] for line in lines}


def _run_streamed(bench: Bench, servers: Sequence[Server]) -> str:
    lines = bench.run("streamed", [servers[0].base_url], stream=True)
    if not all(line["latency"]["ttft_s"] > 0 for line in lines):
        raise FailedStepError("no time to the first token")
    return f"{len(lines)} captions, {_prompt_tokens(lines):,} prompt tokens"


def _schema(bench: Bench, servers: Sequence[Server]) -> str:
    path = bench.folder / "schema.json"
    path.write_text(json.dumps(_SCHEMA))
    lines = bench.run("schema", [servers[0].base_url], response_schema=str(path), max_tokens=256)
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
