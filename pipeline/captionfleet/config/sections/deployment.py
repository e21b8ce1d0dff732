"""Defines the table [[deployments]] of the job file: servers to send requests to (main process)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from captionfleet.config.address import is_bare, server_url
from captionfleet.config.keys import (
    DEFAULT_KEY_ENV,
    KeyPair,
    as_variable,
    default_pairs,
    is_set,
    is_vendor,
    key_for,
    key_pair,
    read_key,
    sent_in_clear,
    service_base,
)
from captionfleet.config.sections.frames import FramesConfig
from captionfleet.config.sections.lifecycle import (
    ControlRef,
    LifecycleConfig,
    control_ref,
    filled_in,
)
from captionfleet.config.sections.section import Section
from captionfleet.config.shares import as_share, places_of
from captionfleet.errors import ConfigError
from captionfleet.messages import Form
from captionfleet.profiles import PROFILES, Profile, ServerKind, profile_of, server_of
from captionfleet.profiles.models import NAMED_LATER, ProfileName
from captionfleet.profiles.servers import ServerName

__all__ = ["DeploymentConfig"]

_MOST_REPLICAS = 8  # the vendor's usual quota of GPUs


class DeploymentConfig(Section):
    """One deployment: its address, model, key, limits and media form."""

    name: str = Field(default="", max_length=100, description="default: d1, d2, …")
    base_url: str
    model: str = Field(min_length=1)
    api_key_env: Annotated[str | None, AfterValidator(as_variable)] = Field(
        default=None,
        description="name of the environment variable that holds the key; empty: no key; "
        f"default: {DEFAULT_KEY_ENV} for Fireworks' own hosts and this machine, else no key",
    )
    profile: Literal["auto", ProfileName] = Field(
        default="auto", description="what is known of the model; auto: by the model string"
    )
    server: Literal["auto", ServerName] = Field(
        default="auto",
        description="the kind of server, which decides auto of video_as, audio_as and modalities; "
        "auto: by the host's name",
    )
    modalities: tuple[Literal["video", "audio"], ...] = Field(
        default=("video", "audio"), description="default: those that profile and server take"
    )
    video_as: Literal["auto", "video_url", "frames"] = Field(
        default="auto", description="one MP4, or each frame as an image_url; auto: by server"
    )
    audio_as: Literal["auto", "audio_url", "input_audio", "none"] = Field(
        default="auto", description="the kind of part for sound; auto: by server"
    )
    audio_format: Literal["auto", "ogg", "wav", "mp3"] = Field(
        default="auto", description="of the sound: auto is ogg for audio_url, wav for input_audio"
    )
    frames: FramesConfig = FramesConfig()
    max_in_flight: int = Field(
        default=32, ge=1, le=4096, description="most requests in flight, per replica if counted"
    )
    share: Annotated[str, AfterValidator(as_share)] = Field(
        default="",
        description="I/N: share of max_in_flight of one of N runs; shard: as in [input]",
    )
    adaptive: bool = Field(
        default=True, description="adapt the number in flight; false: always max_in_flight"
    )
    provider: Literal["auto", "fireworks", "openai"] = Field(
        default="auto", description="the fields that the server takes; auto: by the host's name"
    )
    extra_body: dict[str, Any] = Field(
        default={}, description="further request fields, sent as they are"
    )
    count_replicas: bool = Field(
        default=True, description="let the ceiling follow the number of replicas, if it can be read"
    )
    lifecycle: LifecycleConfig | None = Field(
        default=None, description="bring it up for the job, and turn it off at the end"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        return filled_in(data) if isinstance(data, Mapping) else data

    @model_validator(mode="after")
    def _go_by_profile(self) -> Self:
        """Keep unset keys unset, so that a flag for the server still changes their defaults."""
        if "modalities" not in self.model_fields_set or self.audio_as == "none":
            self.__dict__["modalities"] = self._usual_modalities
        return self

    @model_validator(mode="after")
    def _check(self) -> Self:
        url = server_url(self.base_url)
        if url is None:
            raise ValueError("base_url must look like https://host/v1")
        if not is_bare(self.base_url):
            raise ValueError("base_url must not hold a user, a password, a query or a fragment")
        if url.path.rstrip("/").endswith("/chat/completions"):
            raise ValueError("base_url ends before /chat/completions, as in https://host/v1")
        if self.share and int(self.share.partition("/")[2]) > self.max_in_flight:
            raise ValueError(
                f"share {self.share} of max_in_flight {self.max_in_flight}: each run has at least "
                "one request in flight, so together they have more"
            )
        if "video" not in self.modalities:
            raise ValueError('modalities must hold "video"')
        return self

    @property
    def form(self) -> Form:
        """The form in which media are prepared for it.

        Sound is prepared even for a model that does not take it, and left out when sending, so that
        one set of media serves all.
        """
        hears, kind = "audio" in self.modalities, self.served_by
        video_as = kind.video_as if self.video_as == "auto" else self.video_as
        if video_as != "frames" and not hears:
            return Form()  # the same as for models with sound, so that it is made once
        audio_as = kind.audio_as if self.audio_as == "auto" else self.audio_as
        audio = Form(audio_as="none")
        if hears:
            usual: Literal["ogg", "wav"] = "wav" if audio_as == "input_audio" else "ogg"
            chosen = usual if self.audio_format == "auto" else self.audio_format
            audio = Form(audio_as=audio_as, audio_format=chosen)
        if video_as != "frames":
            return audio
        return replace(
            audio,
            video_as="frames",
            frame_height_px=self.frames.height,
            jpeg_quality=self.frames.quality,
            max_frames=self.frames.max_frames,
        )

    @property
    def served_by(self) -> ServerKind:
        """The kind of server, as the job names it or as its host's name shows."""
        return _server_at(self.base_url, self.server)

    @property
    def as_before_servers(self) -> Self:
        """The table with the defaults of versions without kinds of servers and without Qwen-VL.

        There `auto` meant video_url and audio_url everywhere; captions of such a job stay current.
        """
        known, modalities = profile_of(self.model, self.profile), self.modalities
        if modalities == self._usual_modalities and self.audio_as != "none":
            earlier = PROFILES["generic"] if known.name in NAMED_LATER else known
            modalities = earlier.modalities
        server = "generic" if self.server == "auto" else self.server
        return self.model_copy(update={"server": server, "modalities": modalities})

    @property
    def _usual_modalities(self) -> tuple[Literal["video", "audio"], ...]:
        """The modalities to send where the job does not set them."""
        known = profile_of(self.model, self.profile)
        asks_for_sound = self.audio_as not in {"auto", "none"}
        if asks_for_sound or (self.audio_as == "auto" and self.served_by.sends_sound(known)):
            return known.modalities
        return ("video",)

    @property
    def speaks_fireworks(self) -> bool:
        """Whether requests may hold only the fields that Fireworks documents."""
        is_fireworks = self.provider == "auto" and is_vendor(self.base_url)
        return self.provider == "fireworks" or is_fireworks

    @property
    def counted_at(self) -> ControlRef | None:
        """The deployment at its control plane, if its replicas are counted there."""
        if not self.count_replicas:
            return None
        return control_ref(
            self.lifecycle, self.base_url, self.model, speaks_fireworks=self.speaks_fireworks
        )

    @property
    def most_in_flight(self) -> int:
        """The most requests that may ever be in flight, at its maximum number of replicas."""
        if self.counted_at is None:
            return self.places()
        return self.places(self.lifecycle.max_replicas if self.lifecycle else _MOST_REPLICAS)

    def places(self, replicas: int = 1) -> int:
        """The ceiling of this run's requests with this many replicas: its share of all places."""
        return places_of(self.share, self.max_in_flight * replicas)

    @property
    def known_as(self) -> Profile:
        """The model's profile, restricted to the media that are sent."""
        known = profile_of(self.model, self.profile)
        if self.form.video_as != "frames":
            return known
        return known.sent_as_frames(is_counted=self.served_by.counts_as_transformers)

    @property
    def key_pairs(self) -> frozenset[KeyPair]:
        """The servers of this table, each with the variable whose key may be sent there."""
        urls = [self.base_url, *([self.lifecycle.api_base] if self.lifecycle else [])]
        pairs = default_pairs(service_base())
        if self.api_key_env is not None:
            return frozenset(key_pair(url, self.api_key_env) for url in urls if self.api_key_env)
        return frozenset(
            key_pair(url, variable) for url in urls if (variable := key_for(url, None, pairs))
        )

    @property
    def keys_in_clear(self) -> list[KeyPair]:
        """The servers to which a key would go unencrypted over a network."""
        return sorted(pair for pair in self.key_pairs if sent_in_clear(pair[0]) and is_set(pair[1]))

    @property
    def withholds_default_key(self) -> bool:
        """Whether FIREWORKS_API_KEY is set but not sent, as nothing names it for this server."""
        is_unnamed = self.api_key_env is None and not self.key_env_at(self.base_url)
        return is_unnamed and is_set(DEFAULT_KEY_ENV)

    def key_env_at(self, url: str) -> str:
        """The variable whose key is sent to one of its servers; empty if none is."""
        return key_for(url, self.api_key_env, self.key_pairs)

    def api_key(self) -> SecretStr | None:
        """The key for requests, from the environment.

        The default variable may be unset, as many self-hosted servers take no key.

        Raises:
            ConfigError: the variable is named or needed, and is not set, or holds no key.
        """
        variable = self.key_env_at(self.base_url)
        key = read_key(variable, whose=f"(deployment {self.name})")
        if key is None and variable and (self.api_key_env or self.speaks_fireworks):
            raise ConfigError(
                f"environment variable {variable} is not set: "
                f"export it, or name another one with api_key_env (deployment {self.name})"
            )
        return key


def _server_at(base_url: str, name: str) -> ServerKind:
    url = server_url(base_url)
    return server_of((url.hostname or "") if url else "", name)
