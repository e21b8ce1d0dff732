"""What is paid for gets its line, however a run ends."""

from pathlib import Path

import anyio
import pytest

from captionfleet.config import OutputConfig
from captionfleet.ledger.folder import open_ledger
from captionfleet.messages import Note, Outcome
from captionfleet.sink import RunStatistics, writing_rest
from captionfleet.telemetry import Tally
from tests.support.outcomes import make_caption, make_clip, make_failure
from tests.support.output import Output

pytestmark = pytest.mark.anyio


async def test_what_no_stage_wrote_is_written_once(tmp_path: Path) -> None:
    """Outcomes that wait in the stream or are only held have one line each after an error."""
    tally, statistics = Tally(), RunStatistics()
    written, waiting, held = (make_caption(make_clip(number)) for number in range(3))
    better = make_caption(make_clip(2), text="A dog, seen better.")
    failed = make_failure(make_clip(3))
    outcomes_out, outcomes_in = anyio.create_memory_object_stream[Outcome | Note](4)
    async with open_ledger(OutputConfig(dir=tmp_path)) as ledger:
        for outcome in (written, waiting, held, failed, better):
            ledger.held.add(outcome)
        await ledger.append(written)
        outcomes_out.send_nowait(waiting)
        with outcomes_out, outcomes_in, pytest.raises(ZeroDivisionError):
            async with writing_rest(ledger, outcomes_in, tally, statistics):
                raise ZeroDivisionError
    output = Output(tmp_path)
    assert [int(line["clip_id"], 16) for line in output.captions] == [0, 1, 2]
    assert output.captions[2]["caption"] == better.text
    assert [int(line["clip_id"], 16) for line in output.failures] == [3]
    assert (tally.captioned, tally.failed) == (2, 1)


async def test_a_full_disk_stays_the_error_of_the_run(tmp_path: Path) -> None:
    """Where no line can be written the first error is the one to report."""
    async with open_ledger(OutputConfig(dir=tmp_path)) as ledger:
        ledger.held.add(make_caption())
        outcomes_out, outcomes_in = anyio.create_memory_object_stream[Outcome | Note](1)
        (tmp_path / "captions.jsonl").unlink()
        with outcomes_out, outcomes_in, pytest.raises(ZeroDivisionError):
            async with writing_rest(ledger, outcomes_in, Tally(), RunStatistics()):
                raise ZeroDivisionError
