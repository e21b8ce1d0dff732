"""The manifests for Kubernetes."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from captionfleet.config import LimitsConfig, load_job
from captionfleet.errors import RunError
from tests.recipes.recipe import DOCKER, IMAGE, JOBS, adds_up, understood

Manifest = dict[str, Any]

MANIFESTS = ("cronjob.yaml", "indexed-job.yaml")
# The oldest that the manifest says it runs on, and the newest that the schemas' package knows.
VERSIONS = [("cronjob.yaml", "1.31"), ("indexed-job.yaml", "1.33")]
EXIT_CODES = {1} | {error.exit_code for error in RunError.__subclasses__()}


def manifest(name: str) -> Manifest:
    """The only document in a file."""
    loaded: Manifest = yaml.safe_load((JOBS / name).read_text())
    return loaded


def job_spec(name: str) -> Manifest:
    """The Job that it is or makes."""
    spec: Manifest = manifest(name)["spec"]
    return spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec


def pod_spec(name: str) -> Manifest:
    """The pod of that Job."""
    spec: Manifest = job_spec(name)["template"]["spec"]
    return spec


def container(name: str) -> Manifest:
    """The pod's only container."""
    (only,) = pod_spec(name)["containers"]
    assert isinstance(only, dict)
    return only


def rules(name: str) -> dict[int, str]:
    """What is done at each exit code, by the first rule that matches."""
    done: dict[int, str] = {}
    for rule in job_spec(name)["podFailurePolicy"]["rules"]:
        for code in rule.get("onExitCodes", {"values": []})["values"]:
            done.setdefault(code, rule["action"])
    return done


@pytest.mark.parametrize(("name", "version"), VERSIONS)
@pytest.mark.parametrize("newest", [False, True])
def test_kubernetes_schema_takes_the_manifest(name: str, version: str, *, newest: bool) -> None:
    """The API's own schema, unknown fields refused, takes the manifest."""
    schemas = pytest.importorskip("kubernetes_validate", reason="ships the API's schemas")
    against = schemas.latest_version() if newest else version
    schemas.validate(manifest(name), desired_version=against, strict=True)


@pytest.mark.parametrize("name", MANIFESTS)
def test_command_is_understood(name: str) -> None:
    """The container's arguments are ones that the command takes, with a number of workers."""
    arguments = understood(container(name)["args"])
    assert str(arguments["workers"]) == container(name)["resources"]["requests"]["cpu"]


@pytest.mark.parametrize("name", MANIFESTS)
def test_memory_of_the_pod_adds_up(name: str) -> None:
    """All workers at their limit and the program itself fit into the pod's memory."""
    workers = understood(container(name)["args"])["workers"]
    assert adds_up(container(name)["resources"]["limits"]["memory"], workers)


@pytest.mark.parametrize("name", MANIFESTS)
def test_pod_is_confined(name: str) -> None:
    """The pod runs as the image's user, with a read-only root and without any privilege."""
    user = re.search(r"^USER (\d+):(\d+)$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    assert user
    pod, own = pod_spec(name)["securityContext"], container(name)["securityContext"]
    assert pod["runAsNonRoot"]
    assert (pod["runAsUser"], pod["runAsGroup"]) == (int(user[1]), int(user[2]))
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["readOnlyRootFilesystem"]
    assert not own["allowPrivilegeEscalation"]
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert not pod_spec(name)["automountServiceAccountToken"]


@pytest.mark.parametrize("name", MANIFESTS)
def test_pod_has_time_to_drain(name: str) -> None:
    """A pod that is told to stop may take longer than the drain does."""
    assert pod_spec(name)["terminationGracePeriodSeconds"] > LimitsConfig().drain_s


@pytest.mark.parametrize("name", MANIFESTS)
def test_key_comes_from_a_secret(name: str) -> None:
    """The key that the job file names is taken from a secret and stands in no manifest."""
    (wanted,) = {d.api_key_env for d in load_job(JOBS / "nightly.toml", {}).deployments}
    given = {variable["name"]: variable for variable in container(name)["env"]}
    assert given[wanted].keys() == {"name", "valueFrom"}
    assert given[wanted]["valueFrom"]["secretKeyRef"]["key"] == wanted


@pytest.mark.parametrize("name", MANIFESTS)
def test_folders_of_the_nightly_job_are_mounted(name: str) -> None:
    """What the job file reads and writes is mounted, the library read-only, and no mount hangs."""
    job = load_job(JOBS / "nightly.toml", {})
    mounts = {Path(mount["mountPath"]): mount for mount in container(name)["volumeMounts"]}
    assert {job.output.dir, job.store.folder().parent, Path("/tmp")} <= mounts.keys()  # noqa: S108 -- the pod's own
    assert mounts[job.input.sources[0]]["readOnly"]
    declared = {volume["name"] for volume in pod_spec(name)["volumes"]}
    assert {mount["name"] for mount in mounts.values()} == declared


@pytest.mark.parametrize("name", MANIFESTS)
def test_every_exit_code_has_its_rule(name: str) -> None:
    """Each exit code of the program has a rule, and an evicted pod counts as no failure."""
    assert rules(name).keys() == EXIT_CODES
    first = job_spec(name)["podFailurePolicy"]["rules"][0]
    assert (first["action"], first["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert pod_spec(name)["restartPolicy"] == "Never"  # which podFailurePolicy asks for


@pytest.mark.parametrize("name", MANIFESTS)
def test_image_is_this_version(name: str) -> None:
    """The image is the one that docker/README.md builds, by its version."""
    assert container(name)["image"] == IMAGE


def test_nights_do_not_overlap() -> None:
    """A night that still runs keeps the next from starting, but not for ever."""
    spec = manifest("cronjob.yaml")["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert job_spec("cronjob.yaml")["activeDeadlineSeconds"] < 24 * 3600
    assert set(rules("cronjob.yaml").values()) == {"FailJob"}


def test_each_index_has_its_own_share_and_folder() -> None:
    """Pod i takes share i and writes folder i, by the annotation of its index."""
    container_ = container("indexed-job.yaml")
    arguments = understood(container_["args"])
    assert arguments["shard"] == f"$(PART)/{job_spec('indexed-job.yaml')['completions']}"
    assert str(arguments["out"]).count("$(PART)") == 1
    part = next(variable for variable in container_["env"] if variable["name"] == "PART")
    path = part["valueFrom"]["fieldRef"]["fieldPath"]
    assert path == "metadata.annotations['batch.kubernetes.io/job-completion-index']"


def test_bad_input_stops_all_pods_and_a_full_disk_only_its_own() -> None:
    """Of an indexed Job, what is wrong for all ends all; the rest is an index's own."""
    assert rules("indexed-job.yaml") == {
        1: "Count",
        2: "FailJob",
        3: "FailIndex",
        4: "FailJob",
        5: "FailIndex",
        6: "Count",
    }
