"""Records that somebody else put into the output folder: no key is sent, nothing is deleted."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs

from captionfleet.deployment.lifecycle.owner import Owner
from captionfleet.deployment.lifecycle.records import Record, Records
from captionfleet.standin.plane.record import StandinPlane
from captionfleet.standin.plane.server import serving_plane
from tests.deployment.planes import ACCOUNT, DEAD, KEY, OMNI, plane_options, state_of
from tests.deployment.test_lifecycle import Nightly
from tests.support.command import CommandHere
from tests.support.replica import scripted
from tests.support.tiny_films import Library

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("own_environment")]

Serve = Callable[..., StandinPlane]
TOKEN = "ghp_N0b0dysBus1ness"  # noqa: S105 - nobody's


@pytest.fixture
def nightly(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nightly:
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    return Nightly(library, tmp_path)


def planted(folder: Path, **fields: Any) -> Path:
    """A record in an output folder, as an archive may bring it."""
    own = {
        "owner": DEAD,
        "account": ACCOUNT,
        "deployment_id": OMNI,
        "api_key_env": "FIREWORKS_API_KEY",
        "created": True,
        "at_end": "delete",
        "ignore_checks": True,
    }
    record = Record(**(own | fields))
    (folder / ".left-on").mkdir(parents=True, exist_ok=True)
    path = folder / ".left-on" / f"{record.record_id}.json"
    path.write_text(record.model_dump_json())
    return path


def by_hand(plane: StandinPlane, name: str, model: str = "molmo2-4b") -> None:
    """Make a deployment that no run made."""
    body = {"baseModel": f"accounts/fireworks/models/{model}", "deploymentShape": "s"}
    plane.account.create(
        {"deploymentId": name}, body | {"minReplicaCount": 1}, anyio.current_time()
    )


@pytest.mark.parametrize("variable", ["GITHUB_TOKEN", "FIREWORKS_API_KEY"])
async def test_planted_record_sends_no_key_to_its_host(variable: str, nightly: Nightly) -> None:
    """A run sends no variable to a host that only a record names; it warns, and the file stays."""
    async with serving_plane(plane_options()) as plane, scripted() as thief:
        api_base = thief.base_url.removesuffix("/v1")
        path = planted(nightly.folder / "out", api_base=api_base, api_key_env=variable)
        with capture_logs() as logs:
            await nightly.run(plane, 1)
        assert thief.seen == []
    assert path.exists()
    (warning,) = (one for one in logs if one["event"] == "an earlier run left a deployment on")
    assert warning["log_level"] == "warning"
    assert all(part in warning["outcome"] for part in (api_base, variable, str(path)))
    assert TOKEN not in str(logs)


async def test_planted_record_sends_no_other_variable_to_the_jobs_host(
    nightly: Nightly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even the job's own control plane gets a variable that the job does not name."""
    monkeypatch.setenv("GITHUB_TOKEN", KEY)  # so that what is sent would be obeyed
    async with serving_plane(plane_options()) as plane:
        by_hand(plane, "by-hand")
        planted(
            nightly.folder / "out",
            api_base=plane.api_base,
            api_key_env="GITHUB_TOKEN",
            deployment_id="by-hand",
        )
        await nightly.run(plane, 1)
        assert state_of(plane, "by-hand") == (1, 1, 1)


async def test_planted_record_deletes_nothing(nightly: Nightly) -> None:
    """What a record alone calls made by a run is turned off, and may be turned on again."""
    async with serving_plane(plane_options()) as plane:
        by_hand(plane, "by-hand")
        planted(nightly.folder / "out", api_base=plane.api_base, deployment_id="by-hand")
        await nightly.run(plane, 1)
        assert not plane.account.deployments["by-hand"].deleted
        assert state_of(plane, "by-hand") == (0, 0, 0)


async def test_planted_record_gives_the_run_no_deployment_to_delete(nightly: Nightly) -> None:
    """A run takes its own deployment for made by a run only where the state folder says so."""
    async with serving_plane(plane_options()) as plane:
        by_hand(plane, OMNI, "qwen3-omni-30b-a3b-instruct")
        planted(nightly.folder / "out", api_base=plane.api_base)
        await nightly.run(plane, 1, at_end="delete", ignore_checks=True)
        assert not plane.account.deployments[OMNI].deleted
        assert state_of(plane) == (0, 0, 0)


async def test_copy_of_a_living_runs_record_ends_nothing(nightly: Nightly) -> None:
    """A record copied from a run that lives, from its output folder to this one, ends nothing."""
    async with serving_plane(plane_options()) as plane:
        by_hand(plane, "by-hand")
        owner = await anyio.to_thread.run_sync(Owner.this)
        living = owner.model_copy(update={"pid": os.getppid(), "start_ticks": _start_of_parent()})
        path = planted(
            nightly.folder / "out", api_base=plane.api_base, deployment_id="by-hand", owner=living
        )
        record = Record.model_validate_json(path.read_text())
        await anyio.to_thread.run_sync(Records().write, record)
        await nightly.run(plane, 1)
        assert state_of(plane, "by-hand") == (1, 1, 1)


def _start_of_parent() -> str:
    stat = Path(f"/proc/{os.getppid()}/stat").read_text()
    return stat.rpartition(")")[2].split()[19]


async def test_record_of_an_own_run_is_good_in_both_places(nightly: Nightly) -> None:
    """What the state folder knows, too, is deleted where the job made it, with its own key."""
    async with serving_plane(plane_options()) as plane, serving_plane(plane_options()) as other:
        by_hand(other, "made-by-job")
        path = planted(nightly.folder / "out", api_base=other.api_base, deployment_id="made-by-job")
        record = Record.model_validate_json(path.read_text())
        await anyio.to_thread.run_sync(Records().write, record)
        await nightly.run(plane, 1)
        assert other.account.deployments["made-by-job"].deleted
    assert not path.exists()


def test_state_folder_in_the_output_folder_vouches_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where both folders are one, a record is a hint, wherever in it it lies."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "out" / "state"))
    record = Record(
        api_base="https://h", account="a", deployment_id="d", api_key_env="K", created=True
    )
    Records(tmp_path / "out").write(record)
    (kept,) = Records(tmp_path / "out").all()
    assert not kept.is_vouched_for
    assert not kept.record.created
    assert kept.key_pairs == frozenset()


@pytest.mark.usefixtures("quick_looks")
def test_reap_shows_host_and_variable_and_waits_for_their_names(
    served: Serve, here: CommandHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user who knows a record to be right names server and variable, and it is turned off."""
    mine, other = served(), served()
    monkeypatch.setenv("FIREWORKS_BASE_URL", mine.api_base)
    monkeypatch.setenv("OTHER_KEY", KEY)
    path = planted(
        tmp_path / "out", api_base=other.api_base, api_key_env="OTHER_KEY", deployment_id="theirs"
    )
    shown = here("deployment", "reap", "--out", "out", "--dry-run").stdout
    assert f"at {other.api_base}, NOT without" in shown
    assert "the key in OTHER_KEY" in shown
    refused = here("deployment", "reap", "--out", "out")
    assert refused.exit_code == 4
    assert not other.calls
    assert path.exists()
    names = ("--api-base", other.api_base, "--api-key-env", "OTHER_KEY")
    allowed = here("deployment", "reap", "--out", "out", "--dry-run", *names).stdout
    assert f"at {other.api_base}, with the key in OTHER_KEY" in allowed
    assert here("deployment", "reap", "--out", "out", *names).exit_code == 0
    assert other.calls
    assert not path.exists()


def test_record_is_shown_without_what_a_terminal_obeys(here: CommandHere, tmp_path: Path) -> None:
    """What stands in a planted record is shown, and not obeyed."""
    planted(tmp_path / "out", api_base="https://h/\x1b]0;x\x07", api_key_env="A\x1b[2J\nB")
    for words in (("--dry-run",), ()):
        shown = here("deployment", "reap", "--out", "out", *words)
        assert "\x1b" not in shown.stdout + shown.stderr
        assert "A\\x1b[2J\\nB" in shown.stdout
