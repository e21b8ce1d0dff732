"""How long the worker pool takes for some clips, from the first to the last."""

from pathlib import Path

import anyio

from captionfleet.telemetry import monotonic_s
from captionfleet.workers.workspace import open_workspace
from tests.support.preparing import Pool, clip_of, job_of

CLIPS = 10
DEADLINE_S = 900


async def seconds_with(processes: int, film: Path, folder: Path) -> float:
    """Prepare copies of a film with so many worker processes, which start first."""
    name = f"{processes}-{monotonic_s()}"
    job = job_of(folder / f"store-{name}", {"processes": processes, "clip_timeout_s": 300})
    copies = [folder / f"{name}-{n}{film.suffix}" for n in range(CLIPS)]
    for copy in copies:
        await anyio.Path(copy).write_bytes(await anyio.Path(film).read_bytes())
    async with open_workspace(job.store) as media, anyio.create_task_group() as tasks:
        pool = Pool(job, media)
        tasks.start_soon(pool.run)
        begun_s = monotonic_s()
        with anyio.fail_after(DEADLINE_S):
            for copy in copies:
                pool.put(clip_of(copy))
            pool.end()
            results = await pool.results()
        taken_s = monotonic_s() - begun_s
    if len(results) != CLIPS:
        raise RuntimeError(f"{len(results)} of {CLIPS} clips")
    return taken_s
