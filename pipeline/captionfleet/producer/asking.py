"""Checks that prompts can be filled in for a clip, before anything is paid; pure (main process)."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from captionfleet.config import JobConfig
from captionfleet.config.templates import TemplateError
from captionfleet.errors import ConfigError, FailureCode, Stage
from captionfleet.messages import Clip, Failure, Row, Source, printable
from captionfleet.producer.sources import may_have_rows

__all__ = ["Asking", "telling_apart"]


def telling_apart(job: JobConfig) -> Callable[[Row], str]:
    """Returns a function that maps a row to the text in which two rows of one clip must agree.

    The text is the row's id, with the values that the job's prompts take from its columns.
    """
    templates = [one.template for one in job.asked]

    def said(row: Row) -> str:
        texts = [text for one in templates if one and not row.prompt for text in one.of_row(row)]
        return "\0".join([row.id, *texts]).strip("\0")

    return said


class Asking:
    """The job's requests, and the values that they need from a clip.

    Raises:
        ConfigError: a prompt names columns of a list, and no source is a list.
    """

    def __init__(self, job: JobConfig) -> None:
        self._is_one = len(job.all_requests) == 1
        self._templates = {one.name: one.template for one in job.asked if one.prompt_template}
        has_rows = any(map(may_have_rows, job.input.sources))
        for name, template in self._templates.items():
            if template is not None and template.needs_rows and not has_rows:
                of_name = f" of {name}" if name else ""
                raise ConfigError(
                    f"request.prompt{of_name}: {', '.join(template.names)}: metadata and row come "
                    "from a list (.csv, .jsonl), and no source is a list"
                )

    def require_askable(self, source: Source) -> None:
        """Refuse a row's own prompt in a job of several requests: it would replace all of them.

        Raises:
            ConfigError: the row has one.
        """
        if not self._is_one and source.row.prompt:
            raise ConfigError(
                f"{printable(source.name)}: its row {source.row.number} has a prompt of its own, "
                "and the job has several requests: give the column another name, or the job one "
                "request"
            )

    def problems(self, clip: Clip) -> dict[str, str]:
        """Why some of the clip's requests cannot be sent, by their names."""
        return {name: words for name in clip.requests if (words := self._problem(clip, name))}

    def split(self, clip: Clip) -> Iterator[Clip | Failure]:
        """Yield the clip with the requests that fit it, and a failure for each that does not."""
        problems = self.problems(clip)
        if left := tuple(name for name in clip.requests if name not in problems):
            yield replace(clip, requests=left)
        for name, words in problems.items():
            alone = replace(clip, requests=(name,))
            yield Failure(alone, Stage.PRODUCER, FailureCode.BAD_ROW, words)

    def _problem(self, clip: Clip, request: str) -> str:
        """Why the request's prompt cannot be filled in for this clip; empty if it can."""
        template = None if clip.source.row.prompt else self._templates.get(request)
        try:
            if template is not None:
                template.require(clip)
        except TemplateError as error:
            return str(error)
        return ""
