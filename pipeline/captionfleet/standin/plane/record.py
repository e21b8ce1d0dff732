"""Records the calls to a stand-in control plane (server's process)."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from captionfleet.standin.ledger import Ledger, RequestRecord
from captionfleet.standin.plane.account import Account
from captionfleet.standin.plane.options import PlaneOptions

__all__ = ["CallRecord", "StandinPlane"]

_CALLS_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call to the control plane, as it arrived, and the status it got."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    status: int | None


@dataclass(slots=True)
class StandinPlane:
    """A running control plane.

    Attributes:
        options: its faults can be changed at any time.
        calls: the latest calls to the control plane, in the order they ended.
        ledger: the requests to the replicas of all deployments.
        asleep: requests that found no replica.
    """

    options: PlaneOptions
    host: str = ""
    port: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    calls: deque[CallRecord] = field(default_factory=lambda: deque(maxlen=_CALLS_KEPT))
    asleep: int = 0
    account: Account = field(init=False)

    def __post_init__(self) -> None:
        self.account = Account(self.options)

    @property
    def api_base(self) -> str:
        """The URL that a client puts before "/v1/accounts"."""
        return f"http://{self.host}:{self.port}"

    @property
    def base_url(self) -> str:
        """The URL that a client puts before "/chat/completions"."""
        return f"{self.api_base}/inference/v1"

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """The latest requests to replicas, in the order they ended."""
        return tuple(self.ledger.records)

    def changes(self) -> list[CallRecord]:
        """The calls that changed something."""
        return [call for call in self.calls if call.method != "GET"]
