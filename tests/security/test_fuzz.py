"""A small, seeded share of what benchmarks/fuzz_media.py does at length."""

from pathlib import Path

import pytest

from captionfleet.errors import FailureCode
from captionfleet.messages import Failure
from tests.support.mutations import mutate, seeded
from tests.support.odd_media import ODD
from tests.support.preparing import clip_of, job_of, prepared

pytestmark = pytest.mark.anyio

FILES = 64
WHOLE = """
    fps_25 fragmented vfr_matroska hevc vp9 mpeg2 mpeg2_program_stream avi_no_pts mjpeg wmv flash
    h263_3gp gif h264_elementary_stream
""".split()


async def test_damaged_files_end_as_lines(tmp_path: Path) -> None:
    """Whatever happens to a file's bytes, it is prepared or fails as itself, and no worker dies."""
    whole = [ODD[name](tmp_path).read_bytes() for name in WHOLE]
    clips = []
    for number in range(FILES):
        path = tmp_path / f"{number}-{WHOLE[number % len(WHOLE)]}.mp4"
        rng = seeded(number)
        path.write_bytes(mutate(whole[number % len(whole)], whole, rng))
        clips.append(clip_of(path))
    results = await prepared(job_of(tmp_path / "store", {"processes": 2}), clips)
    blamed = {FailureCode.UNEXPECTED, FailureCode.WORKER_CRASHED, FailureCode.PREPARE_TIMEOUT}
    failures = [result for result in results.values() if isinstance(result, Failure)]
    assert [failure for failure in failures if failure.code in blamed] == []
    assert {failure.code for failure in failures} >= {
        FailureCode.CUT_OFF,
        FailureCode.UNDECODABLE,
    }


def test_mutations_are_the_same_again() -> None:
    """A seed names a file: the same damage comes again."""
    whole = seeded(0).randbytes(10_000)
    first, second = ([mutate(whole, [whole], seeded(number)) for number in range(50)] for _ in "ab")
    assert first == second
    assert sum(damaged != whole for damaged in first) == 50
