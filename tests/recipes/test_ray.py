"""The recipes for Ray: a job on a cluster that is there, and a manifest for KubeRay."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from captionfleet.config import JobConfig, load_job
from captionfleet.config.memory import ENOUGH_BYTES
from tests.recipes.recipe import JOBS, PROJECT, ROOT, understood

RAY_JOB: dict[str, Any] = yaml.safe_load((JOBS / "rayjob.yaml").read_text())
CLUSTER: dict[str, Any] = RAY_JOB["spec"]["rayClusterSpec"]
HEAD: dict[str, Any] = CLUSTER["headGroupSpec"]
(WORKERS,) = CLUSTER["workerGroupSpecs"]
# Of KubeRay's API reference, ray.io/v1.
KNOWN = {
    "job": "entrypoint submissionMode shutdownAfterJobFinishes ttlSecondsAfterFinished "
    "rayClusterSpec",
    "cluster": "rayVersion enableInTreeAutoscaling autoscalerOptions headGroupSpec "
    "workerGroupSpecs",
    "head": "rayStartParams template",
    "workers": "groupName replicas minReplicas maxReplicas rayStartParams template",
}


def job() -> JobConfig:
    """The job file that both run."""
    return load_job(JOBS / "ray.toml", {})


def pod(group: dict[str, Any]) -> dict[str, Any]:
    """A group's pod."""
    spec: dict[str, Any] = group["template"]["spec"]
    return spec


def container(group: dict[str, Any]) -> dict[str, Any]:
    """The pod's only container."""
    (only,) = pod(group)["containers"]
    assert isinstance(only, dict)
    return only


def test_fields_of_the_ray_job_are_known() -> None:
    """Kubernetes passes over a field that no version of the resource has."""
    found = {"job": RAY_JOB["spec"], "cluster": CLUSTER, "head": HEAD, "workers": WORKERS}
    for name, table in found.items():
        assert table.keys() <= set(KNOWN[name].split()), name


@pytest.mark.parametrize("group", [HEAD, WORKERS], ids=["head", "workers"])
def test_kubernetes_schema_takes_the_pods(group: dict[str, Any]) -> None:
    """The API's own schema, unknown fields refused, takes them."""
    schemas = pytest.importorskip("kubernetes_validate", reason="ships the API's schemas")
    name = {"name": "captionfleet"}
    whole = {"apiVersion": "v1", "kind": "Pod", "metadata": name, "spec": pod(group)}
    schemas.validate(whole, desired_version=schemas.latest_version(), strict=True)


@pytest.mark.parametrize("group", [HEAD, WORKERS], ids=["head", "workers"])
def test_pods_are_confined_and_mount_what_they_name(group: dict[str, Any]) -> None:
    """No root and no privilege; the library is read-only."""
    own, mounts = container(group)["securityContext"], container(group)["volumeMounts"]
    assert pod(group)["securityContext"]["runAsNonRoot"]
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert not own["allowPrivilegeEscalation"]
    assert {one["name"] for one in mounts} == {one["name"] for one in pod(group)["volumes"]}
    (videos,) = (one for one in mounts if Path(one["mountPath"]) == job().input.sources[0])
    assert videos["readOnly"]
    assert container(group)["image"] == f"captionfleet-ray:{PROJECT['version']}"


def test_only_the_head_has_the_key_and_it_prepares_no_clip() -> None:
    """The key that the job names comes from a secret; nodes that decode have none."""
    (wanted,) = {one.api_key_env for one in job().deployments}
    (given,) = container(HEAD)["env"]
    assert given["name"] == wanted == given["valueFrom"]["secretKeyRef"]["key"]
    assert HEAD["rayStartParams"] == {"num-cpus": "0"}
    assert "env" not in container(WORKERS)


def test_what_the_cluster_may_become_adds_up() -> None:
    """Clips at once are the CPUs of all pods; each has the memory that a clip asks for."""
    cpus = int(container(WORKERS)["resources"]["requests"]["cpu"])
    assert cpus * WORKERS["maxReplicas"] == job().workers.processes
    memory = container(WORKERS)["resources"]["limits"]["memory"]
    assert memory.endswith("Gi")
    # Ray gives clips 70 % of a node's memory, and its object store 30 %.
    assert cpus * ENOUGH_BYTES <= 0.7 * int(memory[:-2]) * 2**30


def test_versions_are_those_of_this_program() -> None:
    """Ray is the version that the checks run with, in cluster and image."""
    pinned = re.search(r"^ray==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    assert CLUSTER["rayVersion"] == pinned[1]
    assert f"rayproject/ray:{pinned[1]}-py311" in (JOBS / "rayjob.yaml").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "ray" in project["optional-dependencies"]


def test_both_run_the_same_job_file(tmp_path: Path) -> None:
    """What `ray job submit` and KubeRay start is a command that is understood."""
    program = tmp_path / "ray"
    program.write_text(f"#!{sys.executable}\nimport sys, shlex\nprint(shlex.join(sys.argv[1:]))\n")
    program.chmod(0o755)
    ended = subprocess.run(
        ["/bin/bash", JOBS / "ray-job.sh"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    ray, _, submitted = ended.stdout.partition(" -- ")
    assert ray.startswith("job submit --address=http://127.0.0.1:8265 ")
    for command in (submitted, RAY_JOB["spec"]["entrypoint"]):
        program_name, *arguments = shlex.split(command)
        assert program_name in {"captionfleet", "/opt/captionfleet/bin/captionfleet"}
        assert understood(arguments)["job"] == Path("/etc/captionfleet/ray.toml")
