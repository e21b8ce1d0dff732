"""A run with nothing but a key and an account."""

from collections.abc import Callable
from pathlib import Path

import pytest

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.plane.record import StandinPlane
from tests.deployment.planes import ACCOUNT, KEY, OMNI
from tests.support.command import CommandHere
from tests.support.output import Output
from tests.support.tiny_films import Library

Serve = Callable[..., StandinPlane]
MODELS = "accounts/fireworks/models/"


def create(plane: StandinPlane, name: str, model: str, least: int = 1) -> None:
    """Make a deployment that has been there for long."""
    body = {"baseModel": MODELS + model, "deploymentShape": "s", "minReplicaCount": least}
    plane.account.create({"deploymentId": name}, body, -1e6)


def words(library: Library, count: int) -> tuple[str, ...]:
    """A run that names no deployment."""
    films = [str(film) for film in library.films[:count]]
    return ("run", *films, "--out", "out", "--store", str(library.store), "--quiet")


def test_the_only_serving_deployment_is_used(
    served: Serve, here: CommandHere, library: Library, output: Output
) -> None:
    """A key and an account are enough where one deployment serves, whatever else there is."""
    hearing = StandinOptions(api_key=KEY, modalities=("video",), profile="molmo2")
    plane = served(replica=hearing, model_forms=("deployment",))
    create(plane, "asleep", "molmo2-8b", least=0)
    create(plane, "eyes", "molmo2-4b")
    plane.account.deployments["gone"] = plane.account.deployments["asleep"]
    ended = here(*words(library, 2))
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert {line["deployment"] for line in output.captions} == {"eyes"}
    # It answers to one of the three ways to name it, and that is the one in use.
    assert {line["model"] for line in output.captions} == {f"accounts/{ACCOUNT}/deployments/eyes"}
    assert not any(line["media"]["has_audio"] for line in output.captions)
    assert plane.changes() == []


def test_guide_in_four_commands(
    served: Serve, here: CommandHere, library: Library, output: Output
) -> None:
    """Create, prepare, caption and tear down are four commands that need no URL and no name."""
    plane = served()
    film = str(library.films[0])
    assert here("deployment", "create", "--scale-to-zero-window", "5m").exit_code == 0
    assert here("prepare", film, "--out", "prepared", "--store", str(library.store)).exit_code == 0
    assert here(*words(library, 1)).exit_code == 0
    assert here("deployment", "delete", OMNI, "--ignore-checks").exit_code == 0
    assert len(output.captions) == 1
    assert plane.account.deployments[OMNI].deleted


def test_flags_hold_for_what_is_found(
    served: Serve, here: CommandHere, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key's variable and the ceiling may be given, too."""
    plane = served()
    create(plane, "omni", "qwen3-omni-30b-a3b-instruct")
    monkeypatch.delenv("FIREWORKS_API_KEY")
    monkeypatch.setenv("MY_KEY", KEY)
    ended = here(*words(library, 4), "--api-key-env", "MY_KEY", "--max-in-flight", "1")
    assert ended.exit_code == 0
    assert plane.ledger.max_in_flight == 1


def test_several_are_listed_to_choose_from(
    served: Serve, here: CommandHere, library: Library
) -> None:
    """Of several that serve none is guessed: exit code 2, a table, and a command for each."""
    plane = served()
    create(plane, "one", "qwen3-omni-30b-a3b-instruct")
    create(plane, "two", "molmo2-4b")
    ended = here(*words(library, 1))
    assert ended.exit_code == 2
    assert "choose by --base-url and --model" in ended.complaint
    for name in ("one", "two"):
        assert f"#accounts/{ACCOUNT}/deployments/{name}'" in ended.stdout


@pytest.mark.parametrize(
    ("made", "advice"), [((), "deployment create"), (("off",), "deployment scale off 1")]
)
def test_none_is_exit_code_4(
    made: tuple[str, ...], advice: str, served: Serve, here: CommandHere, library: Library
) -> None:
    """Where none serves, the line says how to create one, or which to bring up."""
    plane = served()
    for name in made:
        create(plane, name, "qwen3-omni-30b-a3b-instruct", least=0)
        plane.account.deployments[name].spec["maxReplicaCount"] = 0
    ended = here(*words(library, 1))
    assert ended.exit_code == 4
    assert f"captionfleet {advice}" in ended.complaint


def test_no_account_is_no_guess(
    here: CommandHere,
    own_environment: None,  # noqa: ARG001 - for what it does
    library: Library,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Without an account the run says what to give, and calls nobody."""
    monkeypatch.delenv("FIREWORKS_ACCOUNT_ID")
    ended = here(*words(library, 1))
    assert ended.exit_code == 2
    assert "export FIREWORKS_ACCOUNT_ID" in ended.complaint
    assert not (tmp_path / "out").exists()
