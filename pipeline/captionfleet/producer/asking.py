"""Whether a job's requests can be asked of a clip, before anything is paid; pure (main process)."""

from captionfleet.config import JobConfig
from captionfleet.errors import ConfigError
from captionfleet.messages import Source, printable

__all__ = ["require_askable"]


def require_askable(job: JobConfig, source: Source) -> None:
    """Refuse a row's own prompt in a job of several requests, which it would take the place of.

    Raises:
        ConfigError: there is one.
    """
    if len(job.all_requests) > 1 and source.row.prompt:
        raise ConfigError(
            f"{printable(source.name)}: its row {source.row.number} has a prompt of its own, and "
            "the job has several requests: give the column another name, or the job one request"
        )
