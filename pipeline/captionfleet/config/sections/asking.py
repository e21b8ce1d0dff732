"""Defines the tables [request], [output], [metrics] and [limits] of the job file (main process)."""

import json
import os
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from captionfleet.config.filters import parse_filter
from captionfleet.config.response_schema import check_schema
from captionfleet.config.sections.section import VARIABLE, AnyPath, Section
from captionfleet.config.stop_rules import StopRules, parse_max_failures, parse_time
from captionfleet.config.templates import Template, TemplateError, names_in
from captionfleet.messages.address import is_address, parse_address

__all__ = ["LimitsConfig", "MetricsConfig", "OutputConfig", "RequestConfig"]

_MOST_SCHEMA_BYTES = 2**20


def _as_text(value: object) -> object:
    # A number or a time in the job file needs no quotes.
    is_plain = isinstance(value, int | float | time) and not isinstance(value, bool)
    return str(value) if is_plain else value


def _deadline(text: str) -> str:
    parse_time(text)
    return text


def _filter(text: str) -> str:
    parse_filter(text)
    return text


def _max_failures(text: str) -> str:
    parse_max_failures(text)
    return text


def _as_schema(value: object) -> object:
    """The schema, given as a table or as the path of a JSON file, once it is known to be usable.

    Raises:
        ValueError: it cannot be read, or used.
    """
    if isinstance(value, str | Path):
        try:
            with Path(value).open("rb") as file:
                value = json.loads(file.read(_MOST_SCHEMA_BYTES))
        except OSError as error:
            raise ValueError(f"{value}: {error.strerror}") from None
        except (ValueError, RecursionError):
            raise ValueError(f"{value}: not a JSON file") from None
    return None if value is None else check_schema(value)


class RequestConfig(Section):
    """The prompt and the sampling parameters of a request."""

    name: str = Field(
        default="",
        max_length=40,
        pattern=r"^([A-Za-z0-9][A-Za-z0-9_-]*)?$",
        description="name in output lines; each of several [[request]] needs one",
    )
    prompt: str = Field(default="Describe what happens in this video.", min_length=1)
    prompt_template: bool = Field(
        default=False, description="fill in the names in braces in the prompt, for each clip"
    )
    system: str | None = Field(default=None, description="system message, the same for all clips")
    max_tokens: int = Field(default=1000, ge=1)
    temperature: float = Field(default=0.3, ge=0, le=2)
    retry_truncated_tokens: int | None = Field(
        default=None,
        ge=1,
        description="max_tokens of one more request, for an answer that was cut off",
    )
    on_refusal: Literal["keep", "retry", "fail"] = Field(
        default="keep",
        description="a refusal becomes: a caption flagged refused; one more request, then that; or "
        "a failure",
    )
    response_schema: Annotated[dict[str, Any] | None, BeforeValidator(_as_schema)] = Field(
        default=None, description="JSON Schema of the answer, a table or the path of a JSON file"
    )
    stream: bool = Field(default=False, description="stream answers, which measures ttft_s")
    timeout_s: float = Field(default=300, gt=0, description="one attempt, upload to last byte")
    connect_timeout_s: float = Field(default=10, gt=0)
    max_attempts: int = Field(default=5, ge=1, description="attempts per clip")
    patience_s: float = Field(
        default=1800, ge=0, description="longest wait while no deployment is up"
    )
    hedge_percentile: Annotated[float, Field(ge=50, lt=100)] | None = Field(
        default=None,
        description="ask a second deployment, too, when a request takes longer than this "
        "percentile of the run's requests; default: never",
    )

    @property
    def template(self) -> Template | None:
        """The prompt as a template, if the job says that it is one."""
        return Template.parse(self.prompt) if self.prompt_template else None

    @property
    def names_in_vain(self) -> list[str]:
        """Placeholders in a prompt that is not a template, and so is sent as it is."""
        return [] if self.prompt_template else names_in(self.prompt)

    @model_validator(mode="after")
    def _reads_template(self) -> Self:
        try:
            _ = self.template
        except TemplateError as error:
            raise ValueError(f"prompt: {error}") from None
        return self

    @model_validator(mode="after")
    def _asks_for_more(self) -> Self:
        more = self.retry_truncated_tokens
        if more is not None and more <= self.max_tokens:
            raise ValueError("retry_truncated_tokens has to be more than max_tokens")
        return self


def _local(folder: Path) -> Path:
    if is_address(os.fspath(folder)):
        raise ValueError(
            "an output folder is on this machine, where every line is safe once it is written: "
            "name a folder, and for a copy in a bucket set copy_to in [output] (--copy-to)"
        )
    return folder


def _bucket(text: str) -> str:
    try:
        address = parse_address(text)
    except ValueError:
        address = None
    if address is None or address.is_web:
        raise ValueError("a bucket and a prefix in it, as in s3://bucket/captions, gs:// or az://")
    parts = address.key.strip("/").split("/")
    if (address.key and not {"", ".", ".."}.isdisjoint(parts)) or not text.isprintable():
        raise ValueError("a prefix without empty parts (//), . and .., and control characters")
    if found := VARIABLE.search(text):
        raise ValueError(f"{found[0]} is not replaced in a job file: write the value out")
    return address.shown


class OutputConfig(Section):
    """The output folder, and which of its captions a run replaces."""

    dir: Annotated[AnyPath, AfterValidator(_local)] = Path("captions")
    fsync_s: float = Field(
        default=1.0, ge=0, description="longest time that a written line may wait for fsync"
    )
    copy_to: Annotated[str, AfterValidator(_bucket)] | None = Field(
        default=None,
        description="s3://, gs:// or az:// address of a copy of the folder; default: none",
    )
    copy_every_s: float = Field(default=300.0, ge=1, description="how often the copy is renewed")
    copy_end_s: float = Field(
        default=60.0, ge=0, description="after a signal or an error, the longest wait for the copy"
    )
    recaption: bool = Field(default=False, description="replace captions that another request made")
    recaption_where: tuple[Annotated[str, AfterValidator(_filter)], ...] = Field(
        default=(),
        description="with recaption: replace only captions whose lines match, of any request",
    )
    recaption_list: AnyPath | None = Field(
        default=None,
        description="with recaption: replace only captions of the films in this file, one per line",
    )
    report: bool = Field(default=True, description="write report.html at the end, if that is quick")

    @property
    def is_choosy(self) -> bool:
        """Whether only selected captions are replaced."""
        return bool(self.recaption_where) or self.recaption_list is not None

    @model_validator(mode="after")
    def _replaces_what_it_chooses(self) -> Self:
        if self.is_choosy and not self.recaption:
            raise ValueError("recaption_where and recaption_list take effect with recaption = true")
        return self


class MetricsConfig(Section):
    """Metrics of a running job for Prometheus; off by default."""

    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="port of /metrics for Prometheus, served during the run"
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="address to listen on")


class LimitsConfig(Section):
    """Limits at which a run stops before its end; the next run continues."""

    deadline: Annotated[str, BeforeValidator(_as_text), AfterValidator(_deadline)] | None = Field(
        default=None, description="local time of day, such as 06:00"
    )
    max_hours: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="hours from the start of the run"
    )
    max_failures: (
        Annotated[str, BeforeValidator(_as_text), AfterValidator(_max_failures)] | None
    ) = Field(default=None, description='failed clips, as in 50, or their share, as in "5%"')
    max_tokens_total: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="tokens in and out; requests in flight come on top"
    )
    drain_s: float = Field(
        default=60.0, ge=0, description="longest wait for requests in flight at the end"
    )

    def time_of_day(self) -> time:
        """The deadline, which must be set."""
        return parse_time(self.deadline or "")

    def stop_rules(self) -> StopRules:
        """The limits on what the run has done."""
        failures = None if self.max_failures is None else parse_max_failures(self.max_failures)
        return StopRules(failures, self.max_tokens_total)
