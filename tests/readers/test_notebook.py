"""The documented Python, awaited in the cells of a notebook: a real IPython kernel runs them."""

import re
from pathlib import Path

import pytest

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.job_file import write_job
from tests.support.output import Output
from tests.support.tiny_films import write_tiny_films

nbclient = pytest.importorskip("nbclient", reason="make test-readers installs it")
nbformat = pytest.importorskip("nbformat", reason="as above")

README = Path(__file__).parents[2] / "pipeline/README.md"
IMPORTS = """
from captionfleet import RunError, caption, load_job, run_job
job = load_job("job.toml")
"""
RUN = """
summary = await run_job(job)
summary
"""
STREAM = """
async for outcome in caption(load_job("again.toml")):
    print(type(outcome).__name__, outcome.clip.source.name)
"""
REFUSED = """
try:
    load_job("nowhere.toml")
except RunError as error:
    print(error)
"""


def shown(cell: dict[str, list[dict[str, object]]]) -> str:
    """What a notebook shows below a cell."""
    texts = []
    for output in cell["outputs"]:
        data = output.get("data")
        texts.append(str(data["text/plain"] if isinstance(data, dict) else output.get("text", "")))
    return "\n".join(texts)


# The kernel's own libraries warn; what they leave open is theirs.
@pytest.mark.filterwarnings("default")
@pytest.mark.anyio
async def test_cells_await_a_run(tmp_path: Path) -> None:
    """A notebook awaits a run, takes outcomes one by one, and catches what is wrong with a job."""
    write_tiny_films(tmp_path / "videos", 2)
    async with serving(StandinOptions()) as standin:
        for name, out in (("job", "out"), ("again", "streamed")):
            tables = {"input": {"sources": ["videos"]}, "output": {"dir": out}}
            write_job(tmp_path / f"{name}.toml", standin, tables=tables)
        cells = [nbformat.v4.new_code_cell(one) for one in (IMPORTS, RUN, STREAM, REFUSED)]
        notebook = nbformat.v4.new_notebook(cells=cells)
        client = nbclient.NotebookClient(
            notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
        )
        await client.async_execute()
    _, ended, streamed, refused = map(shown, notebook.cells)
    assert re.fullmatch(r"<RunSummary captionfleet: 2 captioned[^\n]*>", ended)
    names = {f"Caption {path.name}" for path in (tmp_path / "videos").iterdir()}
    assert set(streamed.splitlines()) == names
    assert "cannot read the job file" in refused
    assert len(Output(tmp_path / "out").captions) == 2
    assert "await run_job(job)" in README.read_text()
