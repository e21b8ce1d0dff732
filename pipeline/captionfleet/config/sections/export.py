"""Defines the tables [caption] and [[export]] of the job file (main process)."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from captionfleet.config.filters import parse_filter
from captionfleet.config.sections.media import VIDEO_ENDINGS
from captionfleet.config.sections.section import AnyPath, Section

__all__ = ["CaptionConfig", "ExportConfig", "Format", "Overwrite"]

Format = Literal[
    "txt", "csv", "jsonl", "parquet", "srt", "vtt", "webdataset", "hf", "kohya", "musubi"
]
Overwrite = Literal["never", "changed", "always"]


def _filter(text: str) -> str:
    parse_filter(text)
    return text


def _extension(text: str) -> str:
    ending = f".{text.removeprefix('.')}"
    if not re.fullmatch(r"\.[A-Za-z0-9_-]{1,16}", ending) or ending.lower() in VIDEO_ENDINGS:
        raise ValueError("give letters and digits, as in .txt, and no ending of video files")
    return ending


class CaptionConfig(Section):
    """How exports change a caption; captions.jsonl keeps the answer unchanged."""

    prefix: str = Field(default="", description="text before every caption, such as a trigger word")
    suffix: str = Field(default="", description="text after every caption")
    strip_preamble: bool = Field(
        default=False, description='leave out "The video shows" and the like at the beginning'
    )
    single_line: bool = Field(default=False, description="replace white space by single spaces")
    max_chars: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="longest text, prefix and suffix included; cut after a sentence"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        taken = len(self.prefix) + len(self.suffix)
        if self.max_chars is not None and self.max_chars <= taken:
            raise ValueError(f"max_chars: prefix and suffix take {taken} characters of it")
        return self


class ExportConfig(Section):
    """One export, at the end of each run."""

    to: Format
    out: AnyPath | None = Field(
        default=None,
        description="file or folder; by default export/ in the output folder, and for txt, srt "
        "and vtt beside each source",
    )
    extension: Annotated[str, AfterValidator(_extension)] = Field(
        default=".txt", description="ending of txt's sidecar files"
    )
    overwrite: Overwrite = Field(
        default="changed",
        description="replace sidecar files of an earlier export whose caption changed: never; "
        "changed: unless edited since; always. Files of other programs are never replaced",
    )
    where: tuple[Annotated[str, AfterValidator(_filter)], ...] = Field(
        default=(), description='filters on lines, as in "flag=truncated"; all must match'
    )
    all: bool = Field(default=False, description="also lines of files that are gone or changed")
    shard_clips: int = Field(
        default=1000, ge=1, le=100_000, description="most clips in a shard of webdataset"
    )
    media: AnyPath | None = Field(
        default=None, description="media store of webdataset; default: that of the last run"
    )
