"""Fills in the prompt template for each clip before sending; pure (main process)."""

from dataclasses import replace

from captionfleet.config.templates import Template
from captionfleet.messages import ReadyClip

__all__ = ["filled"]


def filled(ready: ReadyClip, template: Template | None) -> ReadyClip:
    """The clip with its prompt, if a template makes one; a row's own prompt takes precedence.

    Raises:
        TemplateError: the clip's row lacks a value that the template names.
    """
    if template is None or ready.clip.source.row.prompt:
        return ready
    return replace(ready, prompt=template.filled(ready.clip, ready.facts))
