"""What every table of the job file has in common (main process)."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

__all__ = ["AnyPath", "Section"]


def _as_path(value: object) -> object:
    # pydantic reads str as UTF-8 and would refuse a name that is not; a Path it takes as it is.
    return Path(value) if isinstance(value, str) else value


AnyPath = Annotated[Path, BeforeValidator(_as_path)]
"""A path, whatever bytes its name holds."""


class Section(BaseModel):
    """A table of the job file."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True
    )
