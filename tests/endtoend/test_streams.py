"""Standard streams that are full, closed or that nobody reads: they cost no caption."""

import subprocess
import sys
from pathlib import Path

import anyio
import orjson
import pytest

from pipeline.standin.options import StandinOptions
from pipeline.standin.server import serving
from tests.support.output import Output
from tests.support.tiny_films import Library

DEADLINE_S = 40.0


def shell(redirected: str, *words: str | Path) -> list[str]:
    """The command under a shell that puts its streams elsewhere."""
    program = f'exec "$0" -m pipeline "$@" {redirected}'
    return ["sh", "-c", program, sys.executable, *map(str, words)]


@pytest.mark.anyio
async def test_run_outlives_its_log(library: Library, tmp_path: Path, output: Output) -> None:
    """A run whose log has no space and whose standard output is closed captions as any other."""
    async with serving(StandinOptions(watch_media=False)) as standin:
        words = ("--base-url", standin.base_url, "--model", "omni", "--store", library.store)
        out = ("--out", tmp_path / "out", "--log-json")
        run = shell("2>/dev/full >&-", "run", library.films[0], *words, *out)
        with anyio.fail_after(DEADLINE_S):
            ended = await anyio.run_process(run, check=False, cwd=tmp_path)
    assert ended.returncode == 0
    assert output.settled_run()["captioned"] == 1


@pytest.fixture
def failed(tmp_path: Path) -> Path:
    """An output folder with more failures than a pipe holds, one with a name beyond ASCII."""
    line = {"stage": "workers", "code": "not_video", "detail": "x" * 200, "attempts": 0}
    lines = [
        orjson.dumps(line | {"clip_id": f"{number:032x}", "source": f"café {number}.mp4"})
        for number in range(500)
    ]
    (tmp_path / "failures.jsonl").write_bytes(b"\n".join([*lines, b""]))
    return tmp_path


@pytest.mark.parametrize(
    ("redirected", "exit_code", "words"),
    [
        ("| head -n 1 >/dev/null", 0, ""),
        (">/dev/full", 3, "captionfleet: cannot write to standard output: No space left"),
    ],
)
def test_list_that_nobody_takes(
    redirected: str, exit_code: int, words: str, failed: Path, tmp_path: Path
) -> None:
    """A reader that has seen enough is fine; a list that is not written is exit code 3."""
    told = tmp_path / "told"
    program = f'("$0" -m pipeline failures "$1"; echo $? >"$2") {redirected}'
    listed = ["sh", "-c", program, sys.executable, str(failed), str(told)]
    ended = subprocess.run(listed, capture_output=True, check=False, timeout=DEADLINE_S)
    assert int(told.read_text()) == exit_code
    assert ended.stderr.decode().startswith(words)
    assert "Traceback" not in ended.stderr.decode()


def test_names_beyond_the_encoding(failed: Path) -> None:
    """A name that the terminal's encoding cannot show is shown by its numbers."""
    listed = shell("", "failures", failed)
    told = subprocess.run(
        listed,
        capture_output=True,
        check=True,
        timeout=DEADLINE_S,
        env={"PYTHONIOENCODING": "ascii"},
    )
    assert b"caf\\xe9 0.mp4" in told.stdout
