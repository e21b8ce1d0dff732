"""Defines the base of every table of the job file (main process)."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

__all__ = ["VARIABLE", "AnyPath", "Section"]


VARIABLE = re.compile(r"\$\{?[A-Za-z_][A-Za-z0-9_]*\}?")


def _as_path(value: object) -> object:
    # pydantic reads str as UTF-8 and would refuse a name that is not; a Path it takes as it is.
    if not isinstance(value, str | Path):
        return value
    if "\0" in str(value):
        raise ValueError("a path cannot hold a NUL byte")
    if (found := VARIABLE.search(str(value))) and not Path(value).exists():
        raise ValueError(
            f"{found[0]} is not replaced in a job file: write the path out, or give it as a flag, "
            f"where the shell replaces it"
        )
    return Path(value)


AnyPath = Annotated[Path, BeforeValidator(_as_path)]
"""A path; its name can hold any bytes."""


class Section(BaseModel):
    """A table of the job file: immutable; unknown keys are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True
    )
