"""A key is in the requests and nowhere else, whatever a deployment does with it."""

import re
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from tests.support.command import Argument, Command, Running
from tests.support.job_file import write_job
from tests.support.preparing import worker_pids
from tests.support.replica import Step, answer, completion, error_body, gated, scripted, stream
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio

KEY = "fw_Tr0ub4dor8AndThree"
BEARER = f"Bearer {KEY}"


def choice(**fields: object) -> dict[str, object]:
    """A completion whose only choice has these fields."""
    return completion(choices=[{"index": 0, "message": {"content": "A ball."}, **fields}])


ECHOES: dict[str, Step] = {
    "in a 400": answer(400, error_body("bad", f"the key {KEY} may not do that")),
    "in the code of a 400": answer(400, error_body(KEY)),
    "as a bearer token in a 500": answer(500, error_body("oops", BEARER)),
    "on an error page": answer(502, f"<html>{BEARER}</html>".encode()),
    "in an error inside a 200": answer(200, error_body("oops", BEARER)),
    "in an error inside a stream": stream(
        [b'event: error\ndata: {"error": {"message": "' + BEARER.encode() + b'"}}\n\n']
    ),
    "in the finish reason": answer(200, choice(finish_reason=KEY)),
    "in headers": answer(
        200,
        choice(finish_reason="stop"),
        {"x-request-id": KEY, "fireworks-backend-host": BEARER, "Set-Cookie": f"key={KEY}"},
    ),
    "in the body's metrics": answer(
        200, choice(finish_reason="stop") | {"perf_metrics": {"backend-host": BEARER}}
    ),
    "in the usage": answer(200, choice(finish_reason="stop") | {"usage": {"prompt_tokens": KEY}}),
    "in a redirect": answer(429, b"", {"Location": f"http://127.0.0.1/{KEY}", "Retry-After": KEY}),
}


def look_into(running: Running, environments: set[bytes]) -> set[bytes]:
    """Add the environment variables of the workers there are to those seen before."""
    for pid in worker_pids(running.process.pid):
        with suppress(OSError):  # it may be gone
            environments.add(Path(f"/proc/{pid}/environ").read_bytes())
    environments.discard(b"")  # that of a process that is ending
    return environments


def leaks(folder: Path) -> list[str]:
    """Where below a folder the key stands, with what stands around it."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    around = re.compile(rb"[^,]{0,60}" + KEY.encode())
    return [
        f"{path.name}: {found.decode(errors='replace')}"
        for path in files
        for found in around.findall(path.read_bytes())
    ]


async def test_echoed_key_is_written_nowhere(library: Library, cold_command: Command) -> None:
    """No file, no output and no worker's environment holds the key that the server repeats."""
    gate = anyio.Event()
    async with scripted(gated(gate, answer(500)), *ECHOES.values()) as replica:
        job = write_job(
            cold_command.folder / "job.toml",
            replica.base_url,
            tables={
                "request": {"max_attempts": 1},
                "output": {"dir": str(cold_command.folder / "out")},
            },
            api_key_env="MY_KEY",
            max_in_flight=1,
        )
        words: tuple[Argument, ...] = ("run", *library.films[: len(ECHOES) + 1], "--job", job)
        async with cold_command.started(*words, variables={"MY_KEY": KEY}) as running:
            environments = set[bytes]()
            await running.until(
                lambda: bool(look_into(running, environments)) and len(replica.seen) > 1
            )
            gate.set()
            ended = await running.ended()
        assert {seen.headers["authorization"] for seen in replica.seen} == {BEARER}
        assert len(replica.seen) == len(ECHOES) + 2
    assert ended.exit_code == 1
    assert KEY not in ended.stdout + ended.stderr
    assert not any(KEY.encode() in environment for environment in environments)
    assert leaks(cold_command.folder) == []


async def test_key_that_is_refused_is_not_repeated(library: Library, command: Command) -> None:
    """A 401 that quotes the key ends the run with exit code 4, and what it says lacks the key."""
    async with scripted() as replica:
        replica.default = answer(401, error_body("UNAUTHORIZED", f"wrong key: {KEY}"))
        words = ("--base-url", replica.base_url, "--model", "omni", "--api-key-env", "MY_KEY")
        ended = await command(
            "run",
            library.films[0],
            *words,
            "--store",
            library.store,
            "--out",
            "out",
            variables={"MY_KEY": KEY},
        )
    assert ended.exit_code == 4
    assert "refuses the key" in ended.stderr
    assert KEY not in ended.stdout + ended.stderr
    assert leaks(command.folder) == []
