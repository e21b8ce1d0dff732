"""The array job for Slurm."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from captionfleet.config import InputConfig, LimitsConfig
from tests.recipes.recipe import JOBS, adds_up, understood

SCRIPT = JOBS / "captionfleet.sbatch"


def options() -> dict[str, str]:
    """The options that sbatch reads: #SBATCH lines before the first command."""
    lines = SCRIPT.read_text().splitlines()
    first = next(at for at, line in enumerate(lines) if line and not line.startswith("#"))
    words = [line.split()[1] for line in lines[:first] if line.startswith("#SBATCH ")]
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def task(folder: Path, number: int) -> list[str]:
    """What task `number` runs, by a program that writes its arguments and its key down."""
    program = folder / "captionfleet"
    program.write_text(f"#!{sys.executable}\nimport os, sys\nprint(os.environ['KEY'], *sys.argv)\n")
    program.chmod(0o755)
    (folder / "environment").write_text("KEY=secret\n")
    variables = {
        "PATH": "/usr/bin:/bin",
        "CAPTIONFLEET": str(program),
        "CAPTIONFLEET_ENVIRONMENT": str(folder / "environment"),
        "SLURM_ARRAY_TASK_ID": str(number),
    }
    ended = subprocess.run(
        ["/bin/bash", SCRIPT], env=variables, capture_output=True, text=True, timeout=60, check=True
    )
    key, _, *arguments = shlex.split(ended.stdout)
    assert key == "secret"
    return arguments


def test_each_task_has_its_own_share_and_folder(tmp_path: Path) -> None:
    """The tasks of the array are the shares, and each writes a folder of its own."""
    first, last = map(int, options()["--array"].split("-"))
    assert first == 0
    for number in (first, last):
        arguments = understood(task(tmp_path, number))
        assert InputConfig(shard=arguments["shard"]).shard == f"{number}/{last + 1}"
        assert str(arguments["out"]).endswith(f"/part-{number}")


def test_what_the_array_asks_for_adds_up(tmp_path: Path) -> None:
    """Cores, memory and the time to drain are those that the program takes."""
    asked, arguments = options(), understood(task(tmp_path, 0))
    assert asked["--cpus-per-task"] == str(arguments["workers"])
    assert adds_up(asked["--mem"], arguments["workers"])
    signal = re.fullmatch(r"B:TERM@(\d+)", asked["--signal"])
    assert signal
    assert int(signal[1]) > LimitsConfig().drain_s
