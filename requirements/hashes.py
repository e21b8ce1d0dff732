"""Writes the hashed requirement files: `make hashes`.

pyproject.toml says what is needed and within which bounds, constraints.txt which versions are
used. pip says what these need in turn, and which files an index has of them: for each Python and
each architecture the wheel that it would take, or the source where no wheel exists. What is new is
added to constraints.txt at its newest version.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent
CONSTRAINTS = ROOT / "constraints.txt"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
ARCHITECTURES = ("x86_64", "aarch64")
GLIBC = (*range(28, 4, -1),)  # manylinux_2_28 is what every supported distribution can load
# An editable install needs the first; blockbuster needs a package that has no wheel, the second.
ALSO_TO_BUILD = ("editables", "setuptools")
# Those without a wheel or a source for other machines; pyproject.toml says so as well.
ONLY_X86_64 = {"decord"}
MARKER = ' ; platform_machine == "x86_64"'
# Where else a user's pip would look: mirrors may hold builds of their own.
OTHER_INDEXES = ("PIP_CONSTRAINT", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_INDEX_URL")
HEAD = "# Made by `make hashes`: change pyproject.toml or constraints.txt, and run it again.\n"
REQUIREMENT = re.compile(
    rf"^([a-z0-9-]+)==(\S+)(?:{re.escape(MARKER)})?((?: \\\n +--hash=\S+)+)", re.MULTILINE
)
HASH = re.compile(r"sha256:([0-9a-f]{64})")

Pins = dict[str, str]
"""Versions by name (PEP 503)."""
Hashes = dict[tuple[str, str], set[str]]
"""By name and version."""


def main() -> None:
    """Resolve, look up the hashes that are not known yet, and write the files."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, groups = pyproject["project"], pyproject["dependency-groups"]
    extras = project.get("optional-dependencies", {})
    files = {
        "build": resolved([*pyproject["build-system"]["requires"], *ALSO_TO_BUILD]),
        "run": resolved(project["dependencies"]),
    }
    for name, needed in (groups | extras).items():
        whole = resolved([*project["dependencies"], *needed])
        files[name] = {one: pin for one, pin in whole.items() if one not in files["run"]}
    pins = {one: pin for found in files.values() for one, pin in found.items()}
    write_constraints(pins)
    hashes = known_hashes()
    hashes |= looked_up({one: pin for one, pin in pins.items() if (one, pin) not in hashes})
    for name, found in files.items():
        text = HEAD + "".join(requirement(one, pin, hashes) for one, pin in sorted(found.items()))
        (FOLDER / f"{name}.txt").write_text(text)


def known_hashes() -> Hashes:
    """Those of the files as they are: a version's files never change."""
    found: Hashes = {}
    for path in FOLDER.glob("*.txt"):
        for name, version, listed in REQUIREMENT.findall(path.read_text()):
            found[name, version] = set(HASH.findall(listed))
    return found


def resolved(requirements: Sequence[str]) -> Pins:
    """What these need, and what that needs in turn."""
    found = report("--constraint", str(CONSTRAINTS), *requirements)
    return {canonical(one["metadata"]["name"]): one["metadata"]["version"] for one in found}


def looked_up(pins: Pins) -> Hashes:
    """The SHA-256 of each file that one of the Pythons would take."""
    if not pins:
        return {}
    hashes: Hashes = defaultdict(set)
    sources = {
        canonical(one["metadata"]["name"])
        for one in report("--no-deps", *lines(pins))
        if not one["download_info"]["url"].endswith(".whl")
    }
    wheels = {name: version for name, version in pins.items() if name not in sources}
    looks = [look(wheels, *one) for one in product(PYTHONS, ARCHITECTURES)]
    if sources:
        only = ("--no-deps", "--no-binary", ",".join(sources))
        looks.append(report(*only, *lines({name: pins[name] for name in sources})))
    for one in (one for found in looks for one in found):
        name, version = canonical(one["metadata"]["name"]), one["metadata"]["version"]
        hashes[name, version].add(one["download_info"]["archive_info"]["hashes"]["sha256"])
    return hashes


def is_for(name: str, architecture: str) -> bool:
    """Whether a package is installed on an architecture."""
    return architecture == "x86_64" or name not in ONLY_X86_64


def look(pins: Pins, python: str, architecture: str) -> list[dict[str, Any]]:
    """The wheels for one Python on one architecture."""
    pins = {one: pin for one, pin in pins.items() if is_for(one, architecture)}
    if not pins:
        return []
    platforms = [f"manylinux_2_{minor}_{architecture}" for minor in GLIBC]
    platforms += [f"manylinux{year}_{architecture}" for year in (2014, 2010, 1)]
    with tempfile.TemporaryDirectory() as nowhere:
        return report(
            "--no-deps", "--only-binary=:all:", "--implementation=cp", f"--target={nowhere}",
            f"--python-version={python}", *(f"--platform={one}" for one in platforms),
            *lines(pins),
        )  # fmt: skip


def report(*arguments: str) -> list[dict[str, Any]]:
    """What pip would install."""
    environment = {name: value for name, value in os.environ.items() if name not in OTHER_INDEXES}
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed",
        "--report=-", *arguments,
    ]  # fmt: skip
    said = subprocess.run(
        command,
        env=environment | {"PIP_CONFIG_FILE": os.devnull},
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
    )
    installed: list[dict[str, Any]] = json.loads(said.stdout)["install"]
    return installed


def lines(pins: Pins) -> list[str]:
    """The pins as requirements."""
    return [f"{name}=={version}" for name, version in sorted(pins.items())]


def canonical(name: str) -> str:
    """A name as PyPI compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def name_in(line: str) -> str:
    """The name in a pin, to sort by."""
    return line.partition("==")[0].lower()


def write_constraints(pins: Pins) -> None:
    """Add what is new; what is there keeps its version and its place."""
    text = CONSTRAINTS.read_text()
    head, *known = text.splitlines()
    known_names = {canonical(line.partition("==")[0]) for line in known}
    added = [line for line in lines(pins) if line.partition("==")[0] not in known_names]
    CONSTRAINTS.write_text("\n".join([head, *sorted([*known, *added], key=name_in)]) + "\n")


def requirement(name: str, version: str, hashes: Hashes) -> str:
    """One package, with the hash of each of its files."""
    known = (f"    --hash=sha256:{one}" for one in sorted(hashes[name, version]))
    marker = MARKER if name in ONLY_X86_64 else ""
    return " \\\n".join([f"{name}=={version}{marker}", *known]) + "\n"


if __name__ == "__main__":
    main()
