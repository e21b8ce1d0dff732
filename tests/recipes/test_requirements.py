"""The hashed requirement files: what CI, the image and `make` install, byte for byte."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.recipes.recipe import DOCKER, ROOT

FOLDER = ROOT / "requirements"
FILES = sorted(path.stem for path in FOLDER.glob("*.txt"))
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
_HASHED = "-m pip install --require-hashes"
MARKER = r"(?: ; platform_machine == \"x86_64\")?"
ENTRY = re.compile(rf"[a-z0-9-]+==[^\s;]+{MARKER}(?: \\\n    --hash=sha256:[0-9a-f]{{64}})+")


def pins(name: str) -> dict[str, str]:
    """The versions of a file by name."""
    lines = re.findall(r"^([^\s#=]+)==(\S+)", (FOLDER / f"{name}.txt").read_text(), re.MULTILINE)
    return dict(lines)


def needed() -> dict[str, list[str]]:
    """What pyproject.toml asks for, by the file that has to hold it."""
    project = PYPROJECT["project"]
    return {
        "build": PYPROJECT["build-system"]["requires"],
        "run": project["dependencies"],
        **project["optional-dependencies"],
        **PYPROJECT["dependency-groups"],
    }


def test_each_extra_and_group_has_its_file() -> None:
    """No file is missing, and none is left of what is no longer there: run `make hashes`."""
    assert set(FILES) == needed().keys()


@pytest.mark.parametrize("name", FILES)
def test_everything_is_pinned_and_hashed(name: str) -> None:
    """A file holds nothing but versions with hashes: no address, no option, no bare name.

    A package without files for other machines says which machine it is for.
    """
    _, *lines = (FOLDER / f"{name}.txt").read_text().splitlines(keepends=True)
    entries = re.split(r"\n(?=\S)", "".join(lines).rstrip("\n"))
    assert entries != [""]
    assert [entry for entry in entries if not ENTRY.fullmatch(entry)] == []
    assert "://" not in "".join(lines)


@pytest.mark.parametrize("name", FILES)
def test_versions_are_within_the_bounds(name: str) -> None:
    """What pyproject.toml asks for is there, in a version that it takes: run `make hashes`."""
    held = pins(name) if name in {"build", "run"} else pins("run") | pins(name)
    for text in needed()[name]:
        one = Requirement(text)
        assert one.specifier.contains(held[canonicalize_name(one.name)], prereleases=True), text


@pytest.mark.parametrize("name", FILES)
def test_versions_are_those_of_the_constraints(name: str) -> None:
    """A version that is raised in constraints.txt is raised in the files: run `make hashes`."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    wanted = {canonicalize_name(one): pin for one, _, pin in (x.partition("==") for x in lines)}
    assert {one: wanted[canonicalize_name(one)] for one in pins(name)} == pins(name)


@pytest.mark.parametrize("path", [ROOT / "Makefile", DOCKER / "Dockerfile"], ids=lambda p: p.name)
def test_nothing_is_installed_without_a_hash(path: Path) -> None:
    """Each pip that installs takes hashes alone, or the checkout without its dependencies."""
    text = re.sub(r"\\\n\s*", "", path.read_text()).replace("$(HASHED)", _HASHED)
    installs = re.findall(r"-m pip [^&\n]*\binstall\b[^&\n]*", text)
    assert installs
    for install in installs:
        is_hashed = "--require-hashes" in install
        is_checkout = {"--no-deps", "--no-build-isolation"} <= set(install.split())
        assert is_hashed or is_checkout, install
