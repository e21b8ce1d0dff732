"""Whole runs on a Ray cluster whose films lie behind web addresses: each node fetches its own."""

from pathlib import Path
from shutil import copyfile

import orjson
import pytest

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.ray.test_ray_runs import job
from tests.support.command import Command
from tests.support.output import Output, check_provenance
from tests.support.range_server import range_server
from tests.support.ray_cluster import RayCluster
from tests.support.tiny_films import Library

pytest.importorskip("obstore")
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

CLIPS = 6
SIGNED = "X-Amz-Signature=hush0123&X-Amz-Credential=hush0456"


async def test_nodes_fetch_films_by_their_addresses(
    tmp_path: Path, library: Library, cluster: RayCluster, command: Command, output: Output
) -> None:
    """Signed addresses reach the nodes whole, and no line; one that is gone is a failure."""
    folder = tmp_path / "served"
    folder.mkdir()
    for film in library.films[:CLIPS]:
        copyfile(film, folder / film.name)
    listing = tmp_path / "films.jsonl"
    with range_server(folder) as server:
        names = [*(film.name for film in library.films[:CLIPS]), "gone.mp4"]
        rows = [{"url": f"{server.base_url}/{name}?{SIGNED}"} for name in names]
        listing.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
        async with serving(StandinOptions()) as standin:
            file = job(tmp_path, cluster, standin.base_url, [listing])
            ended = await command("run", "--job", file)
            run = output.settled_run()
            check_provenance(output.captions, standin)
    assert ended.exit_code == 1, ended
    assert run["captioned"] == CLIPS
    assert list(output.codes.values()) == ["source_missing"]
    assert sum(node["clips"] for node in run["nodes"].values()) == CLIPS
    assert not any(node["refused"] for node in run["nodes"].values())
    written = b"".join(path.read_bytes() for path in output.folder.rglob("*") if path.is_file())
    assert b"hush" not in written
