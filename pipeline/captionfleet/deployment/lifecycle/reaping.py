"""Finds deployments that dead runs left on, and turns them off (main process)."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import anyio
import anyio.to_thread

from captionfleet.config import ControlRef
from captionfleet.config.keys import KeyPair, key_for
from captionfleet.deployment.lifecycle.records import Kept, Record, Records
from captionfleet.deployment.lifecycle.turning_off import turn_off
from captionfleet.deployment.plane.client import WAITS, Waits, key_at, open_client
from captionfleet.deployment.plane.plane import Plane
from captionfleet.deployment.protocol.refusals import ControlError
from captionfleet.errors import RunError

__all__ = ["IF_IT_IS_OVER", "Reaped", "reap", "users_of"]

IF_IT_IS_OVER = "if that run is over: captionfleet deployment reap --elsewhere"


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
    waits: Waits = WAITS,
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
        waits: How long calls take and wait.

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
            reaped = await _reaped(records, one, kept, pairs, waits, elsewhere=elsewhere)
            done.append(reaped)
            on_result(reaped)
    return done


def users_of(record: Record, kept: list[Kept]) -> list[Kept]:
    """Other runs that use the same deployment and are not known to be dead; live ones first."""
    users = [
        other
        for other in kept
        if other.fate != "dead"
        and other.record.ref == record.ref
        and other.record.record_id != record.record_id
    ]
    return sorted(users, key=lambda other: other.fate != "alive")


async def _reaped(  # noqa: PLR0913 - each is a choice of the caller
    records: Records,
    one: Kept,
    kept: list[Kept],
    named: Collection[KeyPair],
    waits: Waits,
    *,
    elsewhere: bool,
) -> Reaped:
    record, name = one.record, one.record.deployment_id
    if one.fate == "elsewhere" and not elsewhere:
        words = f"{name} was brought up by {record.run}: run this command on that machine"
        return Reaped(record, f"{words}; {IF_IT_IS_OVER}", is_left=True)
    for user in users_of(record, kept):
        if user.fate == "alive" or not elsewhere:
            words = f"{name} is used by {user.record.run}"
            advice = "" if user.fate == "alive" else f"; {IF_IT_IS_OVER}"
            return Reaped(record, words + advice, is_left=True)
    if not key_for(record.api_base, record.api_key_env, named):
        return Reaped(record, f"{name} may still be on: {_not_named(one)}", is_left=True)
    try:
        key = key_at(record.api_base, record.api_key_env, named)
        async with open_client(record.api_base, key, waits) as client:
            words = await _turned_off(Plane(client), record)
    except RunError as error:
        return Reaped(record, f"{name} may still be on: {error}", is_left=True)
    await anyio.to_thread.run_sync(records.remove, record)
    return Reaped(record, words, is_left=False)


async def _turned_off(plane: Plane, record: Record) -> str:
    """Turn it off, retrying refusals for some seconds."""
    waits = plane.client.waits
    end_s = anyio.current_time() + waits.refused_s
    while True:
        try:
            return await turn_off(plane, record)
        except ControlError:
            if anyio.current_time() + waits.again_s > end_s:
                raise
        await anyio.sleep(waits.again_s)


def _not_named(one: Kept) -> str:
    record = one.record
    return (
        f"no run of this user is known to have written {one.path}, which asks for the key in "
        f"{record.api_key_env} to be sent to {record.api_base}; remove the file, or, if that is "
        "right: captionfleet deployment reap --out DIR --api-base URL --api-key-env NAME"
    )
