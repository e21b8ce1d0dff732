"""The job files that people copy."""

import re
from pathlib import Path

import pytest

from captionfleet.check.settings import setting_findings
from captionfleet.config import load_job
from tests.recipes.recipe import DOCKER, JOBS, ROOT, commands_in, understood

JOB_FILES = sorted(JOBS.glob("*.toml"))
TEXTS = sorted(path for folder in (JOBS, DOCKER) for path in folder.iterdir())


@pytest.mark.parametrize("path", JOB_FILES, ids=lambda path: path.name)
def test_job_file_is_complete(path: Path) -> None:
    """Every job file loads and names sources, an output and deployments by name."""
    job = load_job(path, {})
    assert job.input.sources
    assert "dir" in job.output.model_fields_set
    assert job.deployments
    assert all("name" in deployment.model_fields_set for deployment in job.deployments)


@pytest.mark.parametrize("path", JOB_FILES, ids=lambda path: path.name)
def test_job_file_holds_no_key(path: Path) -> None:
    """A key is only ever named, by a variable that a shell can hold, and needed on Fireworks."""
    for deployment in load_job(path, {}).deployments:
        assert re.fullmatch(r"[A-Z_]*", deployment.api_key_env)
        assert bool(deployment.api_key_env) == deployment.speaks_fireworks


def test_molmo_is_sent_no_audio() -> None:
    """The Molmo2 job sends no audio part to its deployment."""
    job = load_job(JOBS / "video-only-molmo2.toml", {})
    assert [deployment.modalities for deployment in job.deployments] == [("video",)]


def test_nothing_is_to_be_said_against_a_recipe() -> None:
    """What `captionfleet check` says of settings alone, it does not say of the recipes."""
    for path in JOB_FILES:
        found = setting_findings(load_job(path, {}))
        assert [one.text for one in found if one.level != "ok"] == [], path.name


def test_nightly_job_needs_no_working_directory() -> None:
    """The job that schedulers run names every folder by its whole path."""
    written = (JOBS / "nightly.toml").read_text()
    folders = re.findall(r'^(?:dir|sources) = \[?"(.*?)"', written, re.MULTILINE)
    assert len(folders) == 3
    assert all(folder.startswith("/") for folder in folders)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_in_a_recipe_is_understood(path: Path) -> None:
    """Every captionfleet command in a recipe, its comments and its page has only real flags."""
    for command in commands_in(path):
        understood(command)


def test_commands_are_found() -> None:
    """The check above finds the commands in comments, over several lines and behind an image."""
    found = {path: list(commands_in(path)) for path in TEXTS}
    assert found[JOBS / "quickstart.toml"] == [["run", "--job", "quickstart.toml"]]
    assert found[JOBS / "captionfleet.service"] == found[JOBS / "nightly.crontab"] != []
    assert found[JOBS / "README.md"][0][-2:] == ["--limit", "5"]
    assert found[DOCKER / "README.md"][0][-2:] == ["--workers", "4"]
    assert len(found[JOBS / "benchmark.toml"]) == 3


def test_jobs_page_names_every_file() -> None:
    """jobs/README.md explains every file beside it."""
    linked = set(re.findall(r"\]\(([\w.-]+)\)", (JOBS / "README.md").read_text()))
    assert linked == {path.name for path in JOBS.iterdir()} - {"README.md"}
