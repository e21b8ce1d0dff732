"""The Dockerfile and compose.yaml, read as an engine would read them."""

import ast
import json
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import import_module
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from captionfleet.config import LimitsConfig, load_job
from captionfleet.standin.flags import ServeFlags
from tests.recipes.recipe import DOCKER, IMAGE, JOBS, PROJECT, ROOT, adds_up, understood

Service = dict[str, Any]

INSTRUCTIONS = set("ARG CMD COPY ENTRYPOINT ENV FROM RUN STOPSIGNAL USER WORKDIR".split())
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, Service] = COMPOSE["services"]
STANDINS = [name for name in SERVICES if name.startswith("standin")]
SERVICE_KEYS = set(
    """
    build cap_drop command depends_on entrypoint healthcheck image init mem_limit networks read_only
    security_opt stop_grace_period tmpfs volumes
    """.split()
)


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction of a Dockerfile."""

    instruction: str
    argument: str


class Unavailable(BaseHTTPRequestHandler):
    """Answers 503."""

    def do_GET(self) -> None:
        """Refuse."""
        self.send_error(503)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def steps() -> list[Step]:
    """The Dockerfile's instructions, comments left out and continued lines joined."""
    text = re.sub(r"^#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [Step(*line.split(maxsplit=1)) for line in lines if line]


def stages() -> list[list[Step]]:
    """The instructions from each FROM on."""
    grouped: list[list[Step]] = []
    for step in steps():
        if step.instruction == "FROM":
            grouped.append([])
        if grouped:
            grouped[-1].append(step)
    return grouped


def of_kind(instruction: str, stage: list[Step]) -> list[str]:
    """The arguments of a kind of instruction in a stage."""
    return [step.argument for step in stage if step.instruction == instruction]


def health_check() -> str:
    """The Python of the stand-ins' health check."""
    (check,) = {tuple(SERVICES[name]["healthcheck"]["test"]) for name in STANDINS}
    assert check[:3] == ("CMD", "python", "-c")
    return check[3]


def health(port: int) -> int:
    """The exit code of the health check against a port of this machine."""
    code = health_check()
    assert code.count("8000") == 1
    command = [sys.executable, "-c", code.replace("8000", str(port))]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode


def test_dockerfile_has_known_instructions_alone() -> None:
    """Every instruction is one of Docker's, and stages begin with FROM."""
    assert {step.instruction for step in steps()} <= INSTRUCTIONS
    assert len(stages()) == 2


def test_base_image_is_a_version_of_python_that_the_project_takes() -> None:
    """Both stages share one base, by its version, slim, and from no host named here."""
    base, extras = of_kind("ARG", steps())
    assert extras == 'EXTRAS=""'
    assert {stage[0].argument.split()[0] for stage in stages()} == {"${BASE}"}
    found = re.fullmatch(r"BASE=python:(\d+\.\d+)-slim-\w+", base)
    assert found
    assert PROJECT["requires-python"] == f">={found[1]}"


def test_what_is_copied_is_there_and_not_ignored() -> None:
    """Every file that enters the build exists, and the ignore file lets exactly these through."""
    copied = {
        name
        for argument in of_kind("COPY", stages()[0])
        for name in argument.split()[:-1]
    }  # fmt: skip
    ignored = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    lines = [line for line in ignored if not line.startswith("#")]
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)
    assert PROJECT["readme"] in copied  # hatchling reads it


def test_versions_are_the_tested_ones() -> None:
    """All is installed by its hash, the checkout by what is there then, and no cache is kept."""
    hashed, checkout = [run for run in of_kind("RUN", stages()[0]) if "install" in run]
    for name in ("build", "run"):
        assert f"--require-hashes --requirement requirements/{name}.txt" in hashed
    assert checkout.count("--no-deps") == checkout.count("--no-build-isolation") == 2
    assert all("--no-cache-dir" in one for one in (*hashed.split("&&"), *checkout.split("&&")))


def test_final_stage_holds_the_built_environment_alone() -> None:
    """What runs is copied from the build stage; nothing is fetched or compiled after it."""
    assert of_kind("COPY", stages()[1]) == ["--from=build /opt/captionfleet /opt/captionfleet"]
    assert not any("pip" in run for run in of_kind("RUN", stages()[1]))


def test_image_does_not_run_as_root() -> None:
    """The user is a number that is not root's, which Kubernetes can tell without the image."""
    (user,) = of_kind("USER", stages()[1])
    uid, gid = map(int, user.split(":"))
    assert min(uid, gid) > 0
    (made,) = of_kind("RUN", stages()[1])
    assert f"--gid {gid} captionfleet" in made
    assert f"--uid {uid}" in made


def test_entry_point_is_the_command_without_a_shell() -> None:
    """Entry point and default are in exec form, so signals reach the program."""
    last = stages()[1]
    (entry_point,), (command,) = of_kind("ENTRYPOINT", last), of_kind("CMD", last)
    assert json.loads(entry_point) == list(PROJECT["scripts"])
    assert json.loads(command) == ["--help"]
    assert of_kind("STOPSIGNAL", last) == ["SIGTERM"]


def test_folders_of_the_nightly_job_belong_to_the_user() -> None:
    """The image has the folders of nightly.toml for volumes to be mounted on, and no key."""
    job, (made,) = load_job(JOBS / "nightly.toml", {}), of_kind("RUN", stages()[1])
    owned = made.partition("--owner=captionfleet --group=captionfleet")[2].split()
    assert owned == list(map(str, [*job.input.sources, job.output.dir, job.store.folder().parent]))
    (environment,) = of_kind("ENV", stages()[1])
    assert "KEY" not in environment
    assert "XDG_CACHE_HOME=/var/cache " in environment


@pytest.mark.parametrize("name", SERVICES)
def test_service_is_confined(name: str) -> None:
    """Every service has a read-only root, no privileges, an init, and no way to the outside."""
    service = SERVICES[name]
    assert service.keys() <= SERVICE_KEYS
    assert service["image"] == IMAGE
    assert service["init"]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(COMPOSE["networks"][network]["internal"] for network in service["networks"])


@pytest.mark.parametrize("name", SERVICES)
def test_service_is_built_from_what_is_here(name: str) -> None:
    """Build context, Dockerfile and volumes exist."""
    build = SERVICES[name]["build"]
    assert (DOCKER / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()
    volumes = [volume.split(":")[0] for volume in SERVICES[name].get("volumes", [])]
    assert set(volumes) <= COMPOSE["volumes"].keys()


@pytest.mark.parametrize("name", [name for name in SERVICES if "command" in SERVICES[name]])
def test_service_command_is_understood(name: str) -> None:
    """The service's arguments are ones that the command takes."""
    assert understood(SERVICES[name]["command"])


def test_run_waits_for_the_stand_ins_and_sends_to_them() -> None:
    """The run starts when both stand-ins are healthy, and its base URLs are theirs."""
    run = understood(SERVICES["captions"]["command"])
    hosts = [urlsplit(url) for url in run["base_url"]]
    assert [host.hostname for host in hosts] == STANDINS
    for host, name in zip(hosts, STANDINS, strict=True):
        served = understood(SERVICES[name]["command"])
        where = (served["host"], served.get("port", ServeFlags().port))
        assert where == ("0.0.0.0", host.port)  # noqa: S104 -- the container's own
        assert SERVICES["captions"]["depends_on"][name] == {"condition": "service_healthy"}
    made = SERVICES["captions"]["depends_on"]["clips"]
    assert made == {"condition": "service_completed_successfully"}


def test_run_may_write_its_output_and_no_clip() -> None:
    """The run's output is a writable volume, and the clips are mounted read-only."""
    run, volumes = understood(SERVICES["captions"]["command"]), SERVICES["captions"]["volumes"]
    assert f"captions:{run['out']}" in volumes
    assert f"videos:{run['sources'][0]}:ro" in volumes


def test_memory_of_the_services_adds_up() -> None:
    """Compose's run and the README's command leave every worker enough for ordinary clips."""
    run = SERVICES["captions"]
    assert adds_up(run["mem_limit"], understood(run["command"])["workers"])
    text = (DOCKER / "README.md").read_text()
    (limit,), (workers,) = re.findall(r"--memory (\S+)", text), re.findall(r"--workers (\d+)", text)
    assert adds_up(limit, int(workers))


def test_run_has_time_to_drain() -> None:
    """Compose waits longer than the drain takes before it kills the run."""
    assert (
        float(SERVICES["captions"]["stop_grace_period"].removesuffix("s")) > LimitsConfig().drain_s
    )


def test_clips_are_made_by_what_exists() -> None:
    """The Python that makes the demo's clips imports and calls what the package has."""
    *interpreter, code = SERVICES["clips"]["entrypoint"]
    assert interpreter == ["python", "-c"]
    for statement in ast.walk(ast.parse(code)):
        if isinstance(statement, ast.ImportFrom):
            assert statement.module
            module = import_module(statement.module)
            assert all(hasattr(module, alias.name) for alias in statement.names)
    assert code.endswith('demo_films(Path("/srv/videos"))')


def test_health_check_tells_a_stand_in_that_serves(standin_url: str) -> None:
    """The health check succeeds against a running stand-in."""
    port = urlsplit(standin_url).port
    assert port
    assert health(port) == 0


def test_health_check_tells_a_stand_in_that_is_gone() -> None:
    """The health check fails where nobody listens."""
    with socket.socket() as taken:  # so that nobody else listens there meanwhile
        taken.bind(("127.0.0.1", 0))
        assert health(taken.getsockname()[1]) != 0


def test_health_check_tells_a_stand_in_that_refuses() -> None:
    """The health check fails at any answer but 200."""
    with HTTPServer(("127.0.0.1", 0), Unavailable) as server:
        answering = Thread(target=server.handle_request, daemon=True)
        answering.start()
        assert health(server.server_port) != 0
        answering.join(timeout=60)
