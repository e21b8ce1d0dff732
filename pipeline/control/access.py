"""Which account, by which key, at which control plane (main process)."""

import os
from dataclasses import dataclass

from pydantic import SecretStr

from pipeline.control.calls import check_name
from pipeline.control.client import key_from
from pipeline.errors import ConfigError

__all__ = ["Access", "account_name"]


@dataclass(frozen=True, slots=True)
class Access:
    """An account at a control plane; the key goes by its variable's name until it is used."""

    account: str
    api_key_env: str
    api_base: str

    def key(self) -> SecretStr:
        """The key.

        Raises:
            ConfigError: the variable holds none.
        """
        return key_from(self.api_key_env)


def account_name(given: str | None) -> str:
    """The account that was given, or that the environment names.

    Raises:
        ConfigError: neither is, or it cannot be one.
    """
    name = given or os.environ.get("FIREWORKS_ACCOUNT_ID", "")
    if not name:
        raise ConfigError("which account? give --account, or export FIREWORKS_ACCOUNT_ID")
    check_name(name, "account")
    return name
