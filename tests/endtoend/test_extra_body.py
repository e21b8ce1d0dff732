"""What extra_body holds is in the requests and, as a hash, in the files of a run."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from captionfleet import JobConfig, run_job
from captionfleet.errors import ConfigError
from tests.support.replica import ScriptedReplica, answer, error_body, scripted
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio

HIDDEN = "tok-Tr0ub4dor8AndThree"


def job_of(
    library: Library, folder: Path, replica: ScriptedReplica, **extra_body: Any
) -> JobConfig:
    """A job that captions one film with these further request fields."""
    own = {"base_url": replica.base_url, "model": "omni", "api_key_env": ""}
    return JobConfig.model_validate(
        {
            "input": {"sources": [library.films[0]], "settle_s": 0},
            "output": {"dir": folder},
            "store": {"dir": library.store},
            "workers": {"processes": 1},
            "deployments": [own | {"extra_body": extra_body}],
        }
    )


def holding(folder: Path) -> list[str]:
    """The files below a folder in which the secret stands."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [path.name for path in files if HIDDEN.encode() in path.read_bytes()]


async def test_no_file_of_a_run_shows_extra_body(library: Library, tmp_path: Path) -> None:
    """run.json and requests.json name each field with a hash; the report shows none either."""
    async with scripted() as replica:
        job = job_of(library, tmp_path, replica, tenant={"token": HIDDEN}, seed=7)
        assert (await run_job(job)).captioned == 1
    assert holding(tmp_path) == []
    settings = orjson.loads((tmp_path / "run.json").read_bytes())["settings"]
    written = settings["deployments"][0]["extra_body"]
    assert written.keys() == {"tenant", "seed"}
    assert all(value.startswith("sha256:") for value in written.values())
    noted = orjson.loads((tmp_path / "requests.json").read_bytes())["requests"]
    assert [facts["extra_body"] for facts in noted.values()] == [written]


async def test_earlier_folder_goes_on_unpaid_and_loses_its_secret(
    library: Library, tmp_path: Path
) -> None:
    """A requests.json that shows the values is rewritten; what is captioned stays captioned."""
    path = tmp_path / "requests.json"
    async with scripted() as replica:
        job = job_of(library, tmp_path, replica, tenant={"token": HIDDEN})
        await run_job(job)
        record = orjson.loads(path.read_bytes())
        for facts in record["requests"].values():
            facts["extra_body"] = {"tenant": {"token": HIDDEN}}
        path.write_bytes(orjson.dumps(record))
        again = await run_job(job)
    assert (again.captioned, again.already_captioned) == (0, 1)
    assert holding(tmp_path) == []


async def test_refused_run_names_the_field_that_differs(library: Library, tmp_path: Path) -> None:
    """Of two fields the one that changed is named, and neither value."""
    async with scripted() as replica:
        await run_job(job_of(library, tmp_path, replica, tenant=HIDDEN, seed=7))
        with pytest.raises(ConfigError) as refused:
            await run_job(job_of(library, tmp_path, replica, tenant="tok-other", seed=7))
    message = str(refused.value)
    assert '(extra_body: "tenant")' in message
    assert HIDDEN not in message
    assert "tok-other" not in message


async def test_error_that_quotes_extra_body_is_written_without_it(
    library: Library, tmp_path: Path
) -> None:
    """A 400 that quotes the whole body, and an error in a 200, stand in the files scrubbed."""
    words = f"unknown field: {HIDDEN}"
    for number, step in enumerate(
        (answer(400, error_body("bad", words)), answer(200, error_body("bad", words)))
    ):
        folder = tmp_path / str(number)
        async with scripted() as replica:
            replica.default = step
            job = job_of(library, folder, replica, tenant=[{"token": HIDDEN}])
            request = job.request.model_copy(update={"max_attempts": 1})
            await run_job(job.model_copy(update={"request": request}))
        assert holding(folder) == []
        assert b"unknown field: [extra_body]" in (folder / "failures.jsonl").read_bytes()
