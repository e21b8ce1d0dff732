"""Declares the flags of `captionfleet export` (main process)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from captionfleet.config.sections.export import Format, Overwrite

__all__ = ["ExportFlags"]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ExportFlags:
    """The flags of `export`; `--help` shows the words below.

    Attributes:
        to: txt (a file beside each film), csv, jsonl, parquet, srt, vtt, webdataset, hf (a folder
            for datasets.load_dataset), kohya or musubi (JSON lines of path and caption); repeat it
            for several. By default the exports of the job file.
        out: File, or folder for txt, srt, vtt, webdataset and hf; by default export/ in the output
            folder, and beside each film for txt, srt and vtt.
        job: Job file, for its [caption] and its exports; by default [caption] of the last run.
        where: Lines to export, as in flag=truncated, flag!=refused, path=*/2024/*, model=NAME,
            request=NAME, time>=2026-11-01, or code=timeout for failed clips; all must match. By
            default every line.
        all_lines: Also captions of films that are gone or changed.
        extension: The ending of the files of txt; .txt by default.
        overwrite: Whether to replace files of an earlier export whose caption changed: never,
            unless edited since (changed, the default), always. Other files are never replaced.
        shard_clips: Most clips in a shard of webdataset; 1000 by default.
        media: Media store to take webdataset's media from; by default that of the last run.
        prefix: Text before every caption; by default nothing.
        suffix: Text after every caption; by default nothing.
        strip_preamble: Remove "The video shows" and similar openings; off by default.
        single_line: Replace all white space by single spaces; off by default.
        max_chars: Longest text in characters; cut at the end of a sentence. By default there is no
            limit.
        quiet: Show no progress.
    """

    to: Annotated[list[Format] | None, Parameter(negative="")] = None
    out: Path | None = None
    job: Path | None = None
    where: Annotated[list[str] | None, Parameter(negative="")] = None
    all_lines: Annotated[bool, Parameter(name="--all", negative="")] = False
    extension: str | None = None
    overwrite: Overwrite | None = None
    shard_clips: int | None = None
    media: Annotated[Path | None, Parameter(name=["--store", "--media"])] = None
    prefix: str | None = None
    suffix: str | None = None
    strip_preamble: bool | None = None
    single_line: bool | None = None
    max_chars: int | None = None
    quiet: Annotated[bool, Parameter(negative="")] = False
