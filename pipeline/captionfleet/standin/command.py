"""The `captionfleet serve` command: reads options, runs a stand-in (server's process)."""

import os
import sys
from typing import TYPE_CHECKING, Any

from captionfleet.standin.faults import parse_fault
from captionfleet.standin.flags import ServeFlags
from captionfleet.standin.options import StandinOptions

if TYPE_CHECKING:
    from captionfleet.standin.server import Standin

__all__ = ["serve_command"]

_BAD_ARGUMENTS = 2


def serve_command(*, flags: ServeFlags = ServeFlags()) -> int:  # noqa: B008 - frozen
    """Serve a stand-in deployment until SIGINT or SIGTERM.

    It serves the chat-completions protocol of a dedicated deployment under /v1 and /inference/v1,
    decodes the video and audio of each request, refuses what the real service refuses, and answers
    with a caption of what it saw and heard. The first line on stdout is its base URL. GET /stats
    returns the requests that it got.

    Args:
        flags: All of them.

    Returns:
        The exit code.
    """
    try:
        options = _options(flags)
        if flags.control_plane:
            plane = {
                "host": flags.host,
                "port": flags.port,
                "replica": options,
                "account": flags.account,
                "time_scale": flags.time_scale,
                "gpu_quota": flags.gpu_quota,
                "preempt_after": flags.preempt_after,
            }
            _run_plane(plane, flags.autoscale)
        else:
            _run(options)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return _BAD_ARGUMENTS
    return 0


def _options(flags: ServeFlags) -> StandinOptions:
    return StandinOptions(
        host=flags.host,
        port=flags.port,
        models=flags.model,
        modalities=("video",) if flags.video_only else ("video", "audio"),
        video_as=flags.video_as,
        audio_as=flags.audio_as,
        api_key=_key(flags.api_key_env),
        strict=flags.control_plane
        or (flags.provider == "fireworks" if flags.strict is None else flags.strict),
        frames=flags.frames,
        turned_deg=flags.turned_deg,
        deaf=flags.deaf,
        tells_usage=flags.usage,
        profile=flags.profile,
        slots=flags.slots,
        max_queue=flags.max_queue,
        service_time_s=flags.service_time_s,
        service_time_jitter=flags.service_time_jitter,
        time_per_token_s=flags.time_per_token_s,
        completion_tokens=flags.completion_tokens,
        halves_after_s=flags.halves_after_s,
        cold_start_s=flags.cold_start_s,
        faults=tuple(map(parse_fault, flags.fault)),
        seed=flags.seed,
        watch_media=flags.watch_media,
        max_payload_bytes=flags.max_payload_bytes,
        max_seconds=flags.max_seconds,
    )


def _key(name: str | None) -> str | None:
    if name is None:
        return None
    if not os.environ.get(name):
        raise ValueError(f"the environment variable {name} is empty or not set")
    return os.environ[name]


def _run(options: StandinOptions) -> None:
    # Imported here so that --help and a wrong flag do not wait for aiohttp, PyAV and numpy.
    import anyio  # noqa: PLC0415

    from captionfleet.standin.server import serve  # noqa: PLC0415

    anyio.run(serve, options, _announce)


def _run_plane(given: dict[str, Any], autoscale: str) -> None:
    import anyio  # noqa: PLC0415 -- as above

    from captionfleet.standin.plane.options import PlaneOptions, parse_autoscale  # noqa: PLC0415
    from captionfleet.standin.plane.server import serve_plane  # noqa: PLC0415

    options = PlaneOptions(**given, autoscale=parse_autoscale(autoscale))
    anyio.run(serve_plane, options, lambda plane: print(plane.api_base, flush=True))  # noqa: T201 -- the first line


def _announce(standin: "Standin") -> None:
    sys.stdout.write(f"{standin.base_url}\n")
    sys.stdout.flush()
