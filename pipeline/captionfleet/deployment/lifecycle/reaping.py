"""Finds deployments that dead runs left on, and turns them off (main process)."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import anyio.to_thread

from captionfleet.config import ControlRef
from captionfleet.config.keys import KeyPair, key_for
from captionfleet.deployment.lifecycle.records import Kept, Record, Records
from captionfleet.deployment.lifecycle.turning_off import turn_off
from captionfleet.deployment.plane.client import key_at, open_client
from captionfleet.deployment.plane.plane import Plane
from captionfleet.errors import RunError

__all__ = ["Reaped", "reap", "users_of"]


@dataclass(frozen=True, slots=True)
class Reaped:
    """The result for one record, and whether its deployment may still be on."""

    record: Record
    words: str
    is_left: bool


async def reap(  # noqa: PLR0913 - each is a choice of the caller
    records: Records,
    named: Collection[KeyPair],
    *,
    but: Collection[ControlRef] = (),
    elsewhere: bool = False,
    account: str | None = None,
    on_result: Callable[[Reaped], None] = lambda _: None,
) -> list[Reaped]:
    """Turn off deployments that dead runs left on, unless a live run uses them too.

    Args:
        records: Where to look.
        named: Pairs of server and key variable that are allowed, besides those that runs of this
            user have named.
        but: Deployments to leave alone.
        elsewhere: Assume that runs on other machines are dead.
        account: Leave other accounts' deployments alone.
        on_result: Called with each result.

    Returns:
        The result for each record. It never raises, so that one deployment that cannot be turned
        off does not keep the others on.
    """
    done: list[Reaped] = []
    if not await anyio.to_thread.run_sync(records.all):
        return done
    async with records.exclusively():
        kept = await anyio.to_thread.run_sync(records.all)
        for one in kept:
            if one.record.ref in but or one.fate == "alive":
                continue
            if account is not None and one.record.target.account != account:
                continue
            pairs = frozenset(named) | one.key_pairs
            done.append(await _reaped(records, one, kept, pairs, elsewhere=elsewhere))
            on_result(done[-1])
    return done


def users_of(record: Record, kept: list[Kept]) -> list[Record]:
    """Other runs that use the same deployment and are not known to be dead."""
    return [
        other.record
        for other in kept
        if other.fate != "dead"
        and other.record.ref == record.ref
        and other.record.record_id != record.record_id
    ]


async def _reaped(
    records: Records,
    one: Kept,
    kept: list[Kept],
    named: Collection[KeyPair],
    *,
    elsewhere: bool,
) -> Reaped:
    record, name = one.record, one.record.deployment_id
    if one.fate == "elsewhere" and not elsewhere:
        words = f"{name} was brought up by {record.owner}: run this command on that machine"
        return Reaped(record, words, is_left=True)
    if users := [] if elsewhere else users_of(record, kept):
        return Reaped(record, f"{name} is used by {users[0].owner}", is_left=True)
    if not key_for(record.api_base, record.api_key_env, named):
        return Reaped(record, f"{name} may still be on: {_not_named(one)}", is_left=True)
    try:
        key = key_at(record.api_base, record.api_key_env, named)
        async with open_client(record.api_base, key) as client:
            words = await turn_off(Plane(client), record)
    except RunError as error:
        return Reaped(record, f"{name} may still be on: {error}", is_left=True)
    await anyio.to_thread.run_sync(records.remove, record)
    return Reaped(record, words, is_left=False)


def _not_named(one: Kept) -> str:
    record = one.record
    return (
        f"no run of this user is known to have written {one.path}, which asks for the key in "
        f"{record.api_key_env} to be sent to {record.api_base}; remove the file, or, if that is "
        "right: captionfleet deployment reap --out DIR --api-base URL --api-key-env NAME"
    )
