"""The commands for deployments against a control plane that really answers."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from captionfleet.deployment.lifecycle.records import Record, Records
from captionfleet.standin.faults import parse_fault
from captionfleet.standin.plane.record import StandinPlane
from tests.deployment.planes import (
    ACCOUNT,
    DEAD,
    KEY,
    MASK,
    OMNI,
    check_calls,
    plane_options,
    state_of,
    told,
)
from tests.support.command import CommandHere

Serve = Callable[..., StandinPlane]
QUICK = ("--poll", "0.01", "--timeout", "20")


def test_deployment_from_nothing_to_serving_and_back(served: Serve, here: CommandHere) -> None:
    """Create, wait, list, scale to zero and delete do what they say, by the documented calls."""
    plane = served()
    created = here("deployment", "create", "--scale-to-zero-window", "12h")
    assert (created.exit_code, created.stderr) == (0, "")
    assert f"{OMNI} is created" in created.stdout
    assert "$6.00/h with all replicas" in created.stdout
    assert f"{OMNI} sleeps after 43200s without requests, and costs nothing then" in created.stdout
    waited = here("deployment", "wait", OMNI, *QUICK)
    assert waited.exit_code == 0
    assert f"{OMNI} serves: a request was answered" in waited.stdout
    assert plane.ledger.by_status == {200: 1}
    assert f"--base-url {plane.base_url}" in waited.stdout
    listed = here("deployment", "list").stdout.splitlines()
    assert listed[1].split() == [
        OMNI,
        "qwen3-omni-30b-a3b-instruct",
        "Serving",
        "1",
        "0-1",
        "$6.00/h",
        "43200s",
    ]
    scaled = here("deployment", "scale", OMNI, "0")
    assert "1 replica serves ($6.00/h); from now on 0; this stops 1" in scaled.stdout
    assert f"{OMNI} is off and costs nothing" in scaled.stdout
    assert state_of(plane) == (0, 0, 0)
    assert plane.account.deployments[OMNI].spec["autoscalingPolicy"] == {
        "scaleToZeroWindow": "43200s"
    }
    plane.account.deployments[OMNI]._served_s = -1e9
    deleted = here("deployment", "delete", OMNI)
    assert deleted.stdout.endswith(f"{OMNI} is deleted\n")
    assert told(plane.changes()) == [
        ("POST", "deployments", {"deploymentId": OMNI}),
        ("PATCH", OMNI, {"updateMask": MASK}),
        ("DELETE", OMNI, {}),
    ]
    check_calls(plane)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--scale-to-zero-window", "12h"), f"{OMNI} sleeps after 43200s"),
        (("--min-replicas", "1"), f"{OMNI} never sleeps: $6.00/h"),
    ],
)
def test_check_and_bench_say_what_stays_on(
    words: tuple[str, ...], said: str, served: Serve, here: CommandHere, tmp_path: Path
) -> None:
    """Who only looks at a deployment, or measures it, is told when it stops costing money."""
    plane = served()
    here("deployment", "create", *words)
    here("deployment", "wait", OMNI, *QUICK)
    job = tmp_path / "job.toml"
    job.write_text(
        f'[[deployments]]\nbase_url = "{plane.base_url}"\napi_key_env = "FIREWORKS_API_KEY"\n'
        f'[deployments.lifecycle]\naccount = "{ACCOUNT}"\napi_base = "{plane.api_base}"\n'
    )
    checked = here("check", "--job", str(job), "--no-canary", "--json")
    found = {one["check"]: one for one in json.loads(checked.stdout)["findings"]}
    assert said in found["costs"]["text"]
    assert found["costs"]["level"] == ("warn" if "never" in said else "ok")
    if "never" in said:
        quick = ("--generate", "1", "--clip-seconds", "2", "--in-flight", "1", "--requests", "1")
        measured = here("bench", "--job", str(job), *quick, "--seconds", "0.1")
        assert said in measured.stderr


@pytest.mark.parametrize("words", [(), ("--min-replicas", "1")])
def test_deployment_that_never_sleeps_says_so(
    words: tuple[str, ...], served: Serve, here: CommandHere
) -> None:
    """Whatever leaves replicas up for ever names their price and the command that ends it."""
    served()
    never = f"{OMNI} never sleeps: $6.00/h until captionfleet deployment scale {OMNI} 0"
    created = here("deployment", "create", *words)
    assert never in created.stdout
    assert never in here("deployment", "wait", OMNI, *QUICK, "--quiet").stdout
    assert here("deployment", "list").stdout.splitlines()[1].split()[-1] == "never"
    assert "never" in here("deployment", "status", OMNI).stdout
    twice = f"{OMNI} never sleeps: $12.00/h until"
    assert twice in here("deployment", "scale", OMNI, "2").stdout


def test_window_lets_a_deployment_sleep(served: Serve, here: CommandHere) -> None:
    """A scale-to-zero window alone asks for a minimum of 0, without which it would not count."""
    plane = served()
    here("deployment", "create", "--scale-to-zero-window", "5m")
    (create,) = (call for call in plane.calls if call.query.get("deploymentId"))
    assert (create.body["minReplicaCount"], create.body["maxReplicaCount"]) == (0, 1)


def test_sleeping_deployment_is_woken(served: Serve, here: CommandHere) -> None:
    """Waiting for one that is scaled to zero brings it up by a request, and proves it by one."""
    plane = served()
    here("deployment", "create", "molmo2-4b", "--min-replicas", "0", "--max-replicas", "2")
    name = "captionfleet-molmo2-4b"
    assert state_of(plane, name) == (0, 2, 0)
    assert here("deployment", "wait", name, *QUICK, "--quiet").exit_code == 0
    assert plane.asleep >= 1
    (create,) = (call for call in plane.calls if call.query.get("deploymentId"))
    assert create.body["deploymentShape"].endswith("/molmo2-4b-minimal")


def test_create_of_what_exists_reports_it(served: Serve, here: CommandHere) -> None:
    """A second create changes nothing, and names what differs."""
    plane = served()
    here("deployment", "create")
    again = here("deployment", "create", "--max-replicas", "3", "--preemptible")
    assert again.exit_code == 0
    assert f"{OMNI} exists already" in again.stdout
    assert "max replicas 1, not 3; preemptible none, not True" in again.stdout
    assert len(plane.changes()) == 1


DRY: dict[str, tuple[str, ...]] = {
    "create": ("create", "--dry-run"),
    "create with a shape looked up": ("create", "molmo2-8b", "--dry-run"),
    "scale": ("scale", "any", "2", "--dry-run"),
    "delete": ("delete", "any", "--hard", "--ignore-checks", "--dry-run"),
}


@pytest.mark.parametrize("name", DRY)
def test_dry_run_calls_nobody(
    name: str, served: Serve, here: CommandHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --dry-run the call is shown with firectl's line, needs no key, and is not made."""
    plane = served()
    monkeypatch.delenv("FIREWORKS_API_KEY")
    shown = here("deployment", *DRY[name])
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert "\n# the same with firectl:\nfirectl deployment" in shown.stdout
    assert f"/v1/accounts/{ACCOUNT}/deployment" in shown.stdout
    assert not plane.calls


@pytest.mark.usefixtures("quick_looks")
@pytest.mark.parametrize(
    ("created", "call"),
    [(True, f"DELETE /v1/accounts/{ACCOUNT}/deployments/d"), (False, "PATCH /v1/accounts/")],
)
def test_dry_reap_only_tells(served: Serve, here: CommandHere, call: str, *, created: bool) -> None:
    """With --dry-run, reap says what was left on and the call that would end it, and makes none."""
    plane = served()
    fields = {"account": ACCOUNT, "deployment_id": "d", "api_key_env": "FIREWORKS_API_KEY"}
    record = Record(**fields, api_base=plane.api_base, owner=DEAD, created=created, at_end="delete")
    Records().write(record)
    shown = here("deployment", "reap", "--dry-run")
    assert "which is dead" in shown.stdout
    assert call in shown.stdout
    assert not plane.calls
    assert "d is gone already" in here("deployment", "reap").stdout
    assert here("deployment", "reap").stdout == "nothing was left on\n"


@pytest.mark.usefixtures("quick_looks")
def test_delete_of_one_in_use_is_refused_unless_asked(served: Serve, here: CommandHere) -> None:
    """What served within the hour is deleted only with --ignore-checks, which the refusal names."""
    plane = served(time_scale=0.01)
    here("deployment", "create")
    here("deployment", "wait", OMNI, *QUICK)
    refused = here("deployment", "delete", OMNI)
    assert refused.exit_code == 4
    assert "--ignore-checks" in refused.complaint
    assert here("deployment", "delete", OMNI, "--ignore-checks").exit_code == 0
    assert [call.query for call in plane.changes()][-2:] == [{}, {"ignoreChecks": "true"}]
    assert "there is no deployment" in here("deployment", "delete", OMNI).stdout


@pytest.mark.parametrize(("answer", "exit_code"), [("n\n", 1), ("y\n", 0), ("", 1)])
def test_person_is_asked(
    answer: str,
    exit_code: int,
    served: Serve,
    here: CommandHere,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In front of a terminal, what stops replicas is asked first; scripts are never asked."""
    plane = served()
    here("deployment", "create")
    monkeypatch.setattr(sys, "stdin", _Terminal(answer))
    assert here("deployment", "scale", OMNI, "0").exit_code == exit_code
    assert (state_of(plane)[1] == 0) is (exit_code == 0)


class _Terminal:
    def __init__(self, answer: str) -> None:
        self._answer = answer

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self._answer

    def fileno(self) -> int:
        return -1


REFUSALS: dict[str, tuple[dict[str, object], tuple[str, ...], int, str]] = {
    "no such deployment": ({}, ("status", "nosuch"), 4, "404 NOT_FOUND"),
    "no such model": ({}, ("create", "llama"), 2, "none of qwen3-omni"),
    "another account": ({"account": "other"}, ("list",), 4, "403 PERMISSION_DENIED"),
    "quota": ({}, ("create", "--min-replicas", "9"), 4, "GPU quota of 8"),
    "a key that may only read": (
        {"replica": plane_options().replica.__class__(api_key="another"), "read_only_key": KEY},
        ("create",),
        4,
        "rights of an admin",
    ),
    "window too short": ({}, ("create", "--scale-to-zero-window", "60s"), 2, "300 s or more"),
    "a window that never counts": (
        {},
        ("create", "--min-replicas", "1", "--scale-to-zero-window", "5m"),
        2,
        "keeps it always up",
    ),
    "no window": ({}, ("create", "--scale-to-zero-window", "soon"), 2, "300s, 5m or 1h"),
    "bounds crossed": ({}, ("scale", "x", "--min-replicas", "3", "--max-replicas", "1"), 2, "3 to"),
    "no number": ({}, ("scale", "x"), 2, "how many replicas?"),
    "a name that is a path": ({}, ("status", "../../v1"), 2, "is not a valid deployment id"),
    "it failed": ({"creation_fails": True}, ("wait", OMNI), 4, "no machine is free"),
    "not in time": ({"time_scale": 10}, ("wait", OMNI, "--timeout", "0.1"), 4, "within 0.1 s"),
    "a create that nobody answers": (
        # Two looks, the create itself, and a look whether it was made.
        {"control_faults": (parse_fault("503+after=2+first=1"),)},
        ("create",),
        4,
        f"it may have been created: captionfleet deployment status {OMNI}",
    ),
    "a wait without end": ({}, ("wait", OMNI, "--timeout", "nan"), 2, "seconds above 0"),
    "no control plane there": (
        {"control_faults": (parse_fault("502-html"),)},
        ("list",),
        4,
        "answers 502",
    ),
}


@pytest.mark.usefixtures("quick_looks")
@pytest.mark.parametrize("name", REFUSALS)
def test_refusal_is_one_line(name: str, served: Serve, here: CommandHere) -> None:
    """What cannot be done ends with the documented exit code and one line that says why."""
    options, words, exit_code, told_line = REFUSALS[name]
    served(**options)
    if words[0] == "wait":
        here("deployment", "create")
        words = (*words, "--quiet", "--poll", "0.01")
    ended = here("deployment", *words)
    assert ended.exit_code == exit_code
    assert told_line in ended.complaint


def test_one_that_is_off_is_not_waited_for(served: Serve, here: CommandHere) -> None:
    """A deployment that may have no replica never comes up; the line says how to bring it up."""
    served()
    here("deployment", "create")
    here("deployment", "scale", OMNI, "0")
    ended = here("deployment", "wait", OMNI, *QUICK, "--quiet")
    assert ended.exit_code == 4
    assert f"captionfleet deployment scale {OMNI} 1" in ended.complaint


def test_long_lists_are_read_to_their_end(served: Serve, here: CommandHere) -> None:
    """A list of many pages is one list; deleted deployments are not in it."""
    plane = served(gpu_quota=1000)
    for number in range(201):
        body = {"baseModel": "accounts/fireworks/models/molmo2-4b", "deploymentShape": "s"}
        plane.account.create({"deploymentId": f"d{number}"}, body, 0.0)
    plane.account.deployments["d7"].deleted = True
    names = [one["name"] for one in json.loads(here("deployment", "list", "--json").stdout)]
    assert len(names) == 200
    assert not any(name.endswith("/d7") for name in names)


def test_lost_policy_is_told(served: Serve, here: CommandHere) -> None:
    """Where a scale loses the autoscaling policy, the loss is noticed and told."""
    served(drops_policy=True)
    here("deployment", "create", "--scale-to-zero-window", "10m")
    scaled = here("deployment", "scale", OMNI, "2")
    assert "lost the autoscaling policy" in scaled.stderr
