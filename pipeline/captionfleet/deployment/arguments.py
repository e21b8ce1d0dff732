"""Checks the arguments of the deployment commands (main process)."""

import re
from dataclasses import dataclass

from cyclopts import Parameter

from captionfleet.config.keys import service_base
from captionfleet.deployment.plane.access import Access, account_name
from captionfleet.deployment.protocol.calls import Wanted
from captionfleet.errors import ConfigError
from captionfleet.profiles.deployable import deployable, deployable_names

__all__ = ["Account", "bounds", "wanted_deployment"]

_ALWAYS_UP = 1  # replicas by default, as in the service's own guide
_UNITS_S = {"s": 1, "m": 60, "h": 3600}


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account, and the key for it.

    Attributes:
        account: Account id; by default that of FIREWORKS_ACCOUNT_ID.
        api_key_env: Name of the environment variable with the key; by default FIREWORKS_API_KEY,
            which goes to Fireworks only.
        api_base: The control plane's URL; by default FIREWORKS_BASE_URL, or Fireworks' own.
    """

    account: str | None = None
    """Account id; by default that of FIREWORKS_ACCOUNT_ID."""
    api_key_env: str | None = None
    """Environment variable with the key; by default FIREWORKS_API_KEY (only for Fireworks)."""
    api_base: str | None = None
    """The control plane's URL; by default FIREWORKS_BASE_URL, or Fireworks' own."""

    def access(self) -> Access:
        """The access that the arguments and the environment describe."""
        return Access(account_name(self.account), self.api_key_env, self.api_base or service_base())


def wanted_deployment(
    model: str,
    *,
    shape: str | None,
    min_replicas: int | None,
    max_replicas: int | None,
    window: str | None,
    region: str,
    preemptible: bool,
) -> Wanted:
    """The deployment that the arguments describe; a window alone implies a minimum of 0.

    Raises:
        ConfigError: the model is unknown, a number is invalid, or a window comes with a minimum
            that keeps the deployment up.
    """
    known = deployable(model)
    if known is None:
        raise ConfigError(
            f"{model!r} is none of {', '.join(deployable_names())}; give other models by their "
            "full name, accounts/…/models/…"
        )
    if window is not None and min_replicas:
        raise ConfigError(
            f"--min-replicas {min_replicas} keeps it always up, and --scale-to-zero-window lets it "
            "sleep: give one of the two"
        )
    least = min_replicas if min_replicas is not None else _ALWAYS_UP * (window is None)
    low, high = bounds(None, least, max_replicas)
    return Wanted(
        base_model=known.base_model,
        shape=shape or known.shape,
        min_replicas=low,
        max_replicas=max(high, 1),
        scale_to_zero_window_s=None if window is None else _window_s(window),
        region=region,
        preemptible=preemptible,
    )


def bounds(replicas: int | None, low: int | None, high: int | None) -> tuple[int, int]:
    """The minimum and maximum of replicas, from one number for both or from either of them.

    Raises:
        ConfigError: they are invalid.
    """
    if replicas is not None:
        if low is not None or high is not None:
            raise ConfigError("give the number of replicas, or --min-replicas and --max-replicas")
        low = high = replicas
    if low is None and high is None:
        raise ConfigError("how many replicas? as in: captionfleet deployment scale ID 2")
    low = low if low is not None else 0
    high = high if high is not None else low
    if not 0 <= low <= high:
        raise ConfigError(f"{low} to {high} replicas: give numbers from 0 on, the first not above")
    return low, high


def _window_s(text: str) -> int:
    found = re.fullmatch(r"(\d{1,6})([smh])", text, re.ASCII)
    if found is None:
        raise ConfigError(f"--scale-to-zero-window {text!r}: give a time such as 300s, 5m or 1h")
    return int(found[1]) * _UNITS_S[found[2]]
