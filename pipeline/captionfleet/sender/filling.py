"""Fills in the prompt template for each clip before sending; pure (main process)."""

from dataclasses import replace

from captionfleet.config.templates import Template
from captionfleet.messages import ReadyClip

__all__ = ["filled"]


def filled(ready: ReadyClip, template: Template | None) -> ReadyClip:
    """The clip with its prompt, where a template makes it; a row's own prompt goes before.

    Raises:
        TemplateError: the clip's row does not have what the template names.
    """
    if template is None or ready.clip.source.row.prompt:
        return ready
    return replace(ready, prompt=template.filled(ready.clip, ready.facts))
