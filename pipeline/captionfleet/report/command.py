"""The `captionfleet report` command, and the report at the end of a run (main process)."""

from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter

from captionfleet import text
from captionfleet.errors import ConfigError
from captionfleet.ledger.files.names import CAPTIONS
from captionfleet.messages import for_terminal, printable
from captionfleet.report.sheets import SheetLimits
from captionfleet.report.write import Made, write_report
from captionfleet.telemetry import configure_logging, get_log

__all__ = ["report_command", "report_of_run"]

_MB = 1_000_000
# The longest wait at the end of a run: about ten seconds of reading, and twenty of pictures.
_QUICK_BYTES, _QUICK_S = 256 * _MB, 20.0


def report_command(
    folder: Path,
    *,
    out: Path | None = None,
    media: Annotated[Path | None, Parameter(name=["--store", "--media"])] = None,
    sample: int | None = None,
    max_mb: int = 48,
) -> int:
    """Write report.html: captions with the frames and the sound that were sent, and figures.

    Args:
        folder: Output folder of a run.
        out: The page; by default report.html in the folder.
        media: Media store; by default the one that the last run used.
        sample: Number of captioned clips to show with pictures, besides all flagged ones; by
            default all of up to 1,000, else 300. The text of all others can be searched.
        max_mb: Most megabytes of pictures and sound together; flagged and slow clips come first.
    """
    if sample is not None and sample < 0:
        raise ConfigError("--sample N: give a number of clips, 0 or more")
    configure_logging()
    limits = SheetLimits(max_bytes=max(0, max_mb) * _MB)
    made = anyio.run(_write, folder, out, media, sample, limits)
    print(_in_words(made))
    return 0


async def _write(
    folder: Path, out: Path | None, media: Path | None, sample: int | None, limits: SheetLimits
) -> Made:
    return await write_report(folder, out=out, store=media, sample=sample, limits=limits)


async def report_of_run(folder: Path, *, quick_bytes: int = _QUICK_BYTES) -> str:
    """Write the report at the end of a run, if that is quick; return the line for the user.

    It is quick where captions.jsonl has no more than `quick_bytes`. Never raises: the
    run itself has succeeded.
    """
    later = f"captionfleet report {printable(str(folder))}"
    try:
        captions = anyio.Path(folder / CAPTIONS)
        if (await captions.stat()).st_size > quick_bytes:
            return f"large: {later}"
        return _in_words(await write_report(folder, limits=SheetLimits(deadline_s=_QUICK_S)))
    except Exception as error:  # noqa: BLE001 - as the docstring says
        get_log().warning("no report", reason=str(error) or type(error).__name__)
        return f"failed: {later}"


def _in_words(made: Made) -> str:
    return (
        f"{for_terminal(printable(str(made.path)))} ({text.size(made.size_bytes)}, "
        f"{made.shown:,} of {made.of_all}, {made.with_pictures:,} with pictures)"
    )
