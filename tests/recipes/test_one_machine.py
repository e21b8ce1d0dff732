"""The crontab line and the systemd units."""

import re
import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from captionfleet.config import LimitsConfig, load_job
from tests.recipes.conftest import KEY
from tests.recipes.recipe import JOBS, understood

CRON_FIELD = re.compile(r"\*|[\d,/*-]+")
PROGRAM = "/opt/captionfleet/bin/captionfleet"
UNITS = ("captionfleet.service", "captionfleet.timer")


def cron_line() -> str:
    """The only line of the crontab that is no comment."""
    lines = (JOBS / "nightly.crontab").read_text().splitlines()
    (line,) = [line for line in lines if not line.startswith("#")]
    return line


def unit(name: str) -> ConfigParser:
    """A unit file; the parser refuses what is neither section, key nor comment."""
    parser = ConfigParser(interpolation=None, delimiters="=", comment_prefixes="#")
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys keep their case
    parser.read_string((JOBS / name).read_text())
    return parser


def analysed(folder: Path, *arguments: str) -> str:
    """What systemd-analyze says of the units with this interpreter as their program."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    for name in UNITS:
        (folder / name).write_text((JOBS / name).read_text().replace(PROGRAM, sys.executable))
    ended = subprocess.run(
        ["systemd-analyze", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def test_cron_line_is_one_that_cron_takes() -> None:
    """Five fields of time and a command without a percent sign, which cron reads as a newline."""
    *times, command = cron_line().split(maxsplit=5)
    assert len(times) == 5
    assert all(map(CRON_FIELD.fullmatch, times))
    assert "%" not in command


def test_cron_line_names_everything_by_its_whole_path() -> None:
    """The program, its job file and its key file do not depend on cron's working directory."""
    program = shlex.split(cron_line().partition("exec nice ")[2])
    assert program[0] == PROGRAM
    assert understood(program[1:])["job"].is_absolute()
    assert ". /etc/captionfleet/environment &&" in cron_line()


def test_cron_line_captions_in_cron_s_environment(
    tmp_path: Path, videos: Path, standin_url: str
) -> None:
    """With no more environment than cron gives, and the key in its file, clips get captions."""
    job, environment = tmp_path / "nightly.toml", tmp_path / "environment"
    served = (JOBS / "nightly.toml").read_text().replace('"/', f'"{tmp_path}/')
    job.write_text(served.replace("https://api.fireworks.ai/inference/v1", standin_url))
    environment.touch(mode=0o600)
    environment.write_text(f"FIREWORKS_API_KEY={KEY}\n")
    (tmp_path / "srv" / "captions").mkdir()
    command = (
        cron_line()
        .split(maxsplit=5)[5]
        .replace(PROGRAM, f"{sys.executable} -m captionfleet")
        .replace("/etc/captionfleet/nightly.toml", str(job))
        .replace("/etc/captionfleet/environment", str(environment))
    )
    ended = subprocess.run(
        ["/bin/sh", "-c", command],
        env={"HOME": str(tmp_path), "LOGNAME": "me", "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("captionfleet: 1 captioned, 0 failed")
    assert ended.stdout.count("\n") == 1
    captions = tmp_path / "srv" / "captions" / "captions.jsonl"
    assert len(captions.read_bytes().splitlines()) == len(list(videos.iterdir()))


def test_cron_line_without_its_key_file_says_so(tmp_path: Path) -> None:
    """A key file that is missing ends the night with an error that cron mails, not in silence."""
    command = cron_line().split(maxsplit=5)[5].replace("/etc/captionfleet", str(tmp_path))
    ended = subprocess.run(
        ["/bin/sh", "-c", command],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode != 0
    assert f"{tmp_path}/environment" in ended.stderr


def test_service_runs_the_nightly_job() -> None:
    """The service runs the same command as the crontab line, with the key from the same file."""
    service = unit("captionfleet.service")["Service"]
    assert cron_line().endswith(service["ExecStart"])
    assert f". {service['EnvironmentFile']} &&" in cron_line()


def test_service_may_write_what_the_nightly_job_writes() -> None:
    """The output and the store of nightly.toml are the only folders that the service may write."""
    service, job = unit("captionfleet.service")["Service"], load_job(JOBS / "nightly.toml", {})
    assert service["ProtectSystem"] == "strict"
    assert service["ReadWritePaths"] == str(job.output.dir)
    assert job.store.folder().is_relative_to(Path("/var/cache", service["CacheDirectory"]))
    mounts = unit("captionfleet.service")["Unit"]["RequiresMountsFor"].split()
    assert mounts == [*map(str, job.input.sources), str(job.output.dir)]


def test_memory_of_the_service_adds_up() -> None:
    """The service has a limit, which its workers share: it says neither their number nor size."""
    service = unit("captionfleet.service")["Service"]
    assert service["MemoryMax"] == "75%"
    assert "--workers" not in service["ExecStart"]
    assert (
        not {"processes", "memory_bytes"}
        & load_job(JOBS / "nightly.toml", {}).workers.model_fields_set
    )
    assert service["OOMPolicy"] == "continue"


def test_service_leaves_time_to_drain() -> None:
    """Stopping signals the main process alone and waits longer than the drain takes."""
    service = unit("captionfleet.service")["Service"]
    assert float(service["TimeoutStopSec"]) > LimitsConfig().drain_s
    assert (service["KillSignal"], service["KillMode"]) == ("SIGTERM", "mixed")


def test_service_counts_a_night_with_failed_clips_as_done() -> None:
    """Failed clips, a limit that was asked for and a stop are no failure of the service."""
    service = unit("captionfleet.service")["Service"]
    assert service["SuccessExitStatus"].split() == ["1", "5", "143"]


def test_timer_starts_the_service_and_catches_up() -> None:
    """The timer has the service's name and makes up for a night that was missed."""
    timer = unit("captionfleet.timer")
    assert timer["Timer"]["Persistent"] == "true"
    assert timer["Install"]["WantedBy"] == "timers.target"
    assert "Unit" not in timer["Timer"]


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """Systemd itself finds nothing to say of the units."""
    assert analysed(tmp_path, "verify", "--man=no", *(f"./{name}" for name in UNITS)) == ""


def test_systemd_finds_the_service_confined(tmp_path: Path) -> None:
    """Systemd rates the service's exposure at 2.0 of 10 or below."""
    analysed(tmp_path, "security", "--offline=yes", "--threshold=20", "--no-pager", f"./{UNITS[0]}")
