"""Logs when deployments go down and come back (main process)."""

from collections import Counter

import anyio

from captionfleet.sender.routing.replicas import Change
from captionfleet.sender.routing.router import Router
from captionfleet.telemetry import get_log

__all__ = ["Changes"]

_EVERY_S = 60.0
_MOST_NAMED = 5


class Changes:
    """Warns of deployments that take no requests, at most once a minute for all of them.

    The structured log has every change. A deployment that is out for the rest of the run is named
    at once.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._since: Counter[str] = Counter()
        self._has_changed = anyio.Event()

    def note(self, name: str, change: Change, reason: str) -> None:
        """Record a change."""
        why = {"reason": reason} if reason else {}
        log = get_log().warning if change is Change.OUT else get_log().info
        log("deployment_changed", deployment=name, now=change.value, **why)
        if change is not Change.OUT:
            self._since[name] += 1
            self._has_changed.set()

    async def say(self) -> None:
        """Log the pending warnings; runs until cancelled."""
        while True:
            await self._has_changed.wait()
            self._has_changed = anyio.Event()
            self._warn()
            self._since.clear()
            await anyio.sleep(_EVERY_S)

    def _warn(self) -> None:
        down = [r for r in self._router.replicas.values() if r.name in self._since and r.down]
        changes = self._since.total()
        if not down and changes < 2:  # noqa: PLR2004 - it came back
            return
        said = [f"{r.name} {r.down} ({r.reason.detail})" if r.reason else r.name for r in down]
        more = [f"and {len(said) - _MOST_NAMED} more"] if len(said) > _MOST_NAMED else []
        get_log().warning(
            "deployments that take no requests for now",
            deployments="; ".join(said[:_MOST_NAMED] + more) or "none, all are back",
            changes=changes,
            is_passing=True,
        )
