"""Determines account, key and control plane (main process)."""

import os
from dataclasses import dataclass

from pydantic import SecretStr

from captionfleet.config.keys import KeyPair, default_pairs, key_pair, service_base
from captionfleet.deployment.plane.client import key_at
from captionfleet.deployment.protocol.calls import check_name
from captionfleet.errors import ConfigError

__all__ = ["Access", "account_name", "named_pairs"]


@dataclass(frozen=True, slots=True)
class Access:
    """An account at a control plane; it names the key's environment variable, and holds no key."""

    account: str
    api_key_env: str | None
    api_base: str

    def key(self) -> SecretStr:
        """The key.

        Raises:
            ConfigError: the variable is unset, or not named for this control plane.
        """
        named = named_pairs(self.api_base, self.api_key_env)
        return key_at(self.api_base, self.api_key_env, named)


def named_pairs(api_base: str | None, api_key_env: str | None) -> frozenset[KeyPair]:
    """Servers that flags, the environment or this program name, with their key variables."""
    service = service_base()
    if not api_key_env:
        return default_pairs(service)
    return default_pairs(service) | {key_pair(api_base or service, api_key_env)}


def account_name(given: str | None) -> str:
    """The given account, or that of the environment.

    Raises:
        ConfigError: none is given or set, or it is invalid.
    """
    name = given or os.environ.get("FIREWORKS_ACCOUNT_ID", "")
    if not name:
        raise ConfigError("no account is known: give --account, or export FIREWORKS_ACCOUNT_ID")
    check_name(name, "account")
    return name
