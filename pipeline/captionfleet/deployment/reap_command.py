"""The `captionfleet deployment reap` command (main process)."""

from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter

from captionfleet.config.keys import KeyPair, key_for
from captionfleet.deployment.lifecycle.reaping import Reaped, reap
from captionfleet.deployment.lifecycle.records import Kept, Records
from captionfleet.deployment.plane.access import named_pairs
from captionfleet.deployment.protocol import calls
from captionfleet.errors import DeploymentError
from captionfleet.messages import for_terminal
from captionfleet.telemetry import configure_logging

__all__ = ["reap_command"]

_Switch = Annotated[bool, Parameter(negative="")]


def reap_command(  # noqa: PLR0913 - each argument is one flag of the command
    *,
    out: Path | None = None,
    elsewhere: _Switch = False,
    dry_run: _Switch = False,
    api_base: str | None = None,
    api_key_env: str | None = None,
    account: str | None = None,
) -> int:
    """Turn off deployments that killed runs left on.

    Every run with a life cycle records what it brings up, and removes the record once that is off.
    Exit code 4: something may still be on.

    Args:
        out: Also search this output folder, whose runs were on other machines or homes; by
            default only this user's own records.
        elsewhere: Treat runs on other machines as dead, so that their deployments are turned off.
        dry_run: Only show the records, and which key would go to which server.
        api_base: The control plane that may get the key in --api-key-env; by default
            FIREWORKS_BASE_URL.
        api_key_env: Name of the environment variable with the key. Without these two, keys go only
            to servers that this user's runs or the environment name, and to Fireworks.
        account: Only deployments of this account; by default of all accounts.
    """
    configure_logging()
    records, named = Records(out), named_pairs(api_base, api_key_env)
    if dry_run:
        kept = [one for one in records.all() if account in {None, one.record.target.account}]
        print("\n".join(_kept_text(one, named) for one in kept) or "nothing is recorded as left on")
        return 0

    async def main() -> int:
        done = await reap(records, named, elsewhere=elsewhere, account=account, on_result=_tell)
        if not done:
            print("nothing was left on")
        return DeploymentError.exit_code if any(one.is_left for one in done) else 0

    return anyio.run(main)


def _tell(one: Reaped) -> None:
    print(for_terminal(one.words))


def _kept_text(kept: Kept, named: frozenset[KeyPair]) -> str:
    record = kept.record
    end = "delete" if record.at_end == "delete" and record.created else "scale to zero"
    call = (
        calls.delete(record.target, ignore_checks=record.ignore_checks)
        if end == "delete"
        else calls.rescale(record.target, 0, 0)
    )
    fate = {
        "alive": "which still runs",
        "dead": "which is dead",
        "elsewhere": "on another machine",
    }
    head = f"{record.deployment_id}: brought up by {record.run}, {fate[kept.fate]}; {end}:"
    may = key_for(record.api_base, record.api_key_env, named | kept.key_pairs)
    verb = "with" if may else "NOT without --api-base and --api-key-env, as nothing else names"
    key = f"at {record.api_base}, {verb} the key in {record.api_key_env}"
    return "\n".join([for_terminal(head), for_terminal(key), call.shown()])
