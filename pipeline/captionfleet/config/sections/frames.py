"""Defines [deployments.frames]: JPEG frames for servers that take no video (main process)."""

from typing import Annotated

from pydantic import Field

from captionfleet.config.sections.section import Section

__all__ = ["FramesConfig"]


class FramesConfig(Section):
    """The size, quality and number of a clip's JPEG frames."""

    height: Annotated[int, Field(ge=32, le=2160, multiple_of=2)] | None = Field(
        default=None, description="pixels, at most [media] height; default: the same"
    )
    quality: int = Field(default=85, ge=30, le=95, description="of the JPEGs, as libjpeg counts it")
    max_frames: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None, description="most frames of a clip that are sent, evenly spread"
    )
    times: bool = Field(
        default=False, description="send the time of each frame, from the clip's start, before it"
    )
