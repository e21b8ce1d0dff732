"""Where requests go: [[deployments]] (main process)."""

import os
from collections.abc import Mapping
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from pipeline.config.address import server_url
from pipeline.config.lifecycle import ControlRef, LifecycleConfig, control_ref, filled_in
from pipeline.config.section import Section
from pipeline.errors import ConfigError
from pipeline.profiles import Profile, profile_of
from pipeline.profiles.models import ProfileName

__all__ = ["DeploymentConfig"]

_MOST_REPLICAS = 8  # the vendor's usual quota of GPUs


class DeploymentConfig(Section):
    """One deployment that takes requests."""

    name: str = Field(default="", max_length=100, description="default: d1, d2, …")
    base_url: str
    model: str = Field(min_length=1)
    api_key_env: str = Field(
        default="FIREWORKS_API_KEY",
        description="name of the environment variable that holds the key; empty: no key",
    )
    profile: Literal["auto", ProfileName] = Field(
        default="auto", description="what is known of the model; auto goes by the model string"
    )
    modalities: tuple[Literal["video", "audio"], ...] = Field(
        default=("video", "audio"), description="default: what the profile says the model takes"
    )
    max_in_flight: int = Field(
        default=32, ge=1, le=4096, description="ceiling of requests; of each replica, if counted"
    )
    adaptive: bool = Field(
        default=True, description="find the number in flight below the ceiling; false: keep to it"
    )
    provider: Literal["auto", "fireworks", "openai"] = Field(
        default="auto", description="which fields the server takes; auto goes by the host's name"
    )
    extra_body: dict[str, Any] = Field(
        default={}, description="further request fields, sent as they are"
    )
    count_replicas: bool = Field(
        default=True, description="let the ceiling follow the replicas, where they can be counted"
    )
    lifecycle: LifecycleConfig | None = Field(
        default=None, description="bring it up for the job, and turn it off at the end"
    )

    @model_validator(mode="before")
    @classmethod
    def _go_by_profile(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        data = filled_in(data)
        if "modalities" in data:
            return data
        known = profile_of(str(data.get("model")), str(data.get("profile", "auto")))
        return {**data, "modalities": known.modalities}

    @model_validator(mode="after")
    def _check(self) -> Self:
        url = server_url(self.base_url)
        if url is None:
            raise ValueError("base_url must look like https://host/v1")
        if url.username or url.password or url.query or url.fragment:
            raise ValueError("base_url must not hold a user, a password, a query or a fragment")
        if url.path.rstrip("/").endswith("/chat/completions"):
            raise ValueError("base_url ends before /chat/completions, as in https://host/v1")
        if "video" not in self.modalities:
            raise ValueError('modalities must hold "video"')
        return self

    @property
    def speaks_fireworks(self) -> bool:
        """Whether requests may hold only the fields that Fireworks documents."""
        host = urlsplit(self.base_url).hostname or ""
        is_fireworks = host == "fireworks.ai" or host.endswith(".fireworks.ai")
        return self.provider == "fireworks" or (self.provider == "auto" and is_fireworks)

    @property
    def counted_at(self) -> ControlRef | None:
        """Where its replicas can be counted, if they are to be."""
        if not self.count_replicas:
            return None
        return control_ref(
            self.lifecycle, self.base_url, self.model, speaks_fireworks=self.speaks_fireworks
        )

    @property
    def most_in_flight(self) -> int:
        """Requests that may ever be in flight, with all the replicas it may come to have."""
        if self.counted_at is None:
            return self.max_in_flight
        most = self.lifecycle.max_replicas if self.lifecycle else _MOST_REPLICAS
        return self.max_in_flight * most

    @property
    def known_as(self) -> Profile:
        """What is known of the model."""
        return profile_of(self.model, self.profile)

    def api_key(self) -> SecretStr | None:
        """The key from the environment.

        An own server without a key is common, so the default variable may be unset there.

        Raises:
            ConfigError: the variable is named or needed, and is not set.
        """
        value = os.environ.get(self.api_key_env, "") if self.api_key_env else ""
        value = value.strip()
        if value:
            return SecretStr(value)
        named = "api_key_env" in self.model_fields_set and self.api_key_env
        if named or (self.api_key_env and self.speaks_fireworks):
            raise ConfigError(
                f"environment variable {self.api_key_env} is not set: "
                f"export it, or name another one with api_key_env (deployment {self.name})"
            )
        return None
