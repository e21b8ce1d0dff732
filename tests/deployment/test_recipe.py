"""The job file with a life cycle that people copy."""

from collections.abc import Callable

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.plane.record import StandinPlane
from tests.deployment.planes import KEY, check_calls, state_of
from tests.recipes.recipe import JOBS
from tests.support.command import CommandHere
from tests.support.output import Output
from tests.support.tiny_films import Library


def test_recipe_runs_against_the_stand_in(
    served: Callable[..., StandinPlane], here: CommandHere, library: Library, output: Output
) -> None:
    """The recipe lives its whole life against a stand-in, by its variables alone."""
    replica = StandinOptions(api_key=KEY)
    plane = served(account="ACCOUNT", replica=replica, time_scale=0.02)
    words = (str(library.films[0]), "--out", "out", "--store", str(library.store), "--limit", "20")
    ended = here("run", *words, "--job", str(JOBS / "lifecycle.toml"), "--quiet")
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert len(output.captions) == 1
    assert state_of(plane, "captionfleet-omni") == (0, 0, 0)
    check_calls(plane)
