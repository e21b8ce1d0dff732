"""The `captionfleet deployment reap` command (main process)."""

from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter

from pipeline.control import calls
from pipeline.control.reaping import reap
from pipeline.control.records import Kept, Records
from pipeline.errors import DeploymentError
from pipeline.telemetry import configure_logging

__all__ = ["reap_command"]

_Switch = Annotated[bool, Parameter(negative="")]


def reap_command(
    *,
    out: Path | None = None,
    elsewhere: _Switch = False,
    dry_run: _Switch = False,
) -> int:
    """Turn off what runs left on that were killed.

    Every run with a life cycle notes what it brings up, and forgets it once that is off. Exit
    code 4: something may still be on.

    Args:
        out: Also look into this output folder, whose runs were on other machines or homes.
        elsewhere: Take runs on other machines for dead, and what they use for unused.
        dry_run: Only say what is noted.
    """
    configure_logging()
    records = Records(out)
    if dry_run:
        kept = records.all()
        print("\n".join(_kept_text(one) for one in kept) or "nothing is noted as left on")
        return 0

    async def main() -> int:
        done = await reap(records, elsewhere=elsewhere, told=lambda one: print(one.told))
        if not done:
            print("nothing was left on")
        return DeploymentError.exit_code if any(one.is_left for one in done) else 0

    return anyio.run(main)


def _kept_text(kept: Kept) -> str:
    record = kept.record
    end = "delete" if record.at_end == "delete" and record.created else "scale to zero"
    call = (
        calls.delete(record.target, ignore_checks=record.ignore_checks)
        if end == "delete"
        else calls.rescale(record.target, 0, 0)
    )
    fate = {"alive": "which is at work", "dead": "which is no more", "elsewhere": "not known here"}
    lines = [f"{record.deployment_id}: brought up by {record.owner}, {fate[kept.fate]}; {end}:"]
    return "\n".join([*lines, call.shown()])
