"""The `captionfleet export` command, and the exports at the end of a run (main process)."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from captionfleet.config import CaptionConfig, ExportConfig, JobConfig, load_job
from captionfleet.config.mistakes import mistakes
from captionfleet.config.sections.export import Format
from captionfleet.errors import ConfigError, OutputError, RunError
from captionfleet.export.export import check_export, export_lines
from captionfleet.export.flags import ExportFlags
from captionfleet.ledger.past_runs import job_table_in, read_run
from captionfleet.system.standard_streams import do_not_wait_for_readers
from captionfleet.telemetry import configure_logging, get_log, show_steps

__all__ = ["check_exports", "export_command", "exports_of_run"]

_Table = TypeVar("_Table", bound=BaseModel)


def export_command(folder: Path, *, flags: ExportFlags = ExportFlags()) -> int:  # noqa: B008 - frozen
    """Export the captions of an output folder for other programs.

    Writes one line for each clip whose film still exists unchanged. Every file appears complete;
    after a kill, the same command completes the export. It only reads the output folder, so it also
    works during a run.

    Args:
        folder: Output folder of a run.
        flags: The others.
    """
    configure_logging()
    do_not_wait_for_readers()
    settled = load_job(flags.job, {}) if flags.job is not None else None
    words = {
        "prefix": flags.prefix,
        "suffix": flags.suffix,
        "strip_preamble": flags.strip_preamble,
        "single_line": flags.single_line,
        "max_chars": flags.max_chars,
    }
    wording = _wording(folder, settled, words)
    each = {
        "out": flags.out,
        "where": flags.where,
        "all": flags.all_lines or None,
        "extension": flags.extension,
        "overwrite": flags.overwrite,
        "shard_clips": flags.shard_clips,
        "media": flags.media,
    }
    exports = _exports(flags.to, settled, each)
    for export in exports:
        check_export(export)
    for export in exports:
        with show_steps(None if flags.quiet else sys.stderr) as steps:
            exported = export_lines(folder, export, wording, steps, checks_names=True)
        print(exported)
    return 0


def _exports(
    to: Sequence[Format] | None, job: JobConfig | None, each: dict[str, Any]
) -> list[ExportConfig]:
    given = {key: value for key, value in each.items() if value is not None}
    if to:
        if len(to) > 1 and "out" in given:
            raise ConfigError("--out names one target: give --to once with it")
        return [_valid(ExportConfig, {"to": one, **given}) for one in to]
    named = job.export if job is not None else ()
    if not named:
        raise ConfigError("no format: give --to FORMAT (see --help)")
    return [_valid(ExportConfig, one.model_dump() | given) for one in named]


def _wording(folder: Path, job: JobConfig | None, words: dict[str, Any]) -> CaptionConfig:
    """The job's [caption], or that of the folder's last run, overridden by the flags."""
    if job is not None:
        base = job.caption.model_dump()
    else:
        base = job_table_in(read_run(folder), "caption")
        try:
            base = CaptionConfig.model_validate(base).model_dump()
        except ValidationError:
            base = {}
    given = {key: value for key, value in words.items() if value is not None}
    return _valid(CaptionConfig, base | given)


def _valid(kind: type[_Table], values: dict[str, Any]) -> _Table:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"arguments: {mistakes(error, kind)}") from None


def check_exports(job: JobConfig) -> None:
    """Make sure that the job's exports are possible, before anything is paid for.

    Raises:
        ConfigError: one is not.
    """
    for export in job.export:
        check_export(export)


def exports_of_run(job: JobConfig) -> tuple[list[str], int]:
    """Do the job's exports at the end of a run; return lines for its summary, and an exit code.

    Errors are reported, not raised: the captions are safe, and the command can repeat an export.
    """
    lines, exit_code = [], 0
    for export in job.export:
        try:
            lines += str(export_lines(job.output.dir, export, job.caption)).splitlines()
        except RunError as error:
            get_log().warning("no export", to=export.to, reason=str(error))
            lines.append(f"{export.to}: failed: {error}")
            exit_code = exit_code or OutputError.exit_code
    return lines, exit_code
