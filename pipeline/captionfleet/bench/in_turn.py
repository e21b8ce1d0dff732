"""Lets a benchmark send each of the job's requests for each clip, in turn (main process)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from captionfleet.config import JobConfig
from captionfleet.errors import ConfigError
from captionfleet.messages import Failure, ReadyClip
from captionfleet.producer.asking import Asking
from captionfleet.sender.filling import filled
from captionfleet.telemetry import get_log

__all__ = ["in_turn"]


def in_turn(clips: Sequence[ReadyClip], job: JobConfig) -> list[ReadyClip]:
    """Each clip once for every request of the job, with the prompt that a run would send.

    Raises:
        ConfigError: a prompt names columns of a list, and no source is a list, or no clip has them.
    """
    asked = list(_asked(clips, job))
    if not asked:
        raise ConfigError("no clip has the values that the prompts name")
    return asked


def _asked(clips: Sequence[ReadyClip], job: JobConfig) -> Iterator[ReadyClip]:
    asking = Asking(job)
    templates = {one.name: one.template for one in job.asked}
    for ready in clips:
        asking.require_askable(ready.clip.source)
        for todo in asking.split(replace(ready.clip, requests=tuple(templates))):
            if isinstance(todo, Failure):
                source = todo.clip.source.name
                get_log().warning("clip left out", source=source, reason=todo.detail)
                continue
            for name in todo.requests:
                yield replace(filled(ready, templates[name]), request=name)
