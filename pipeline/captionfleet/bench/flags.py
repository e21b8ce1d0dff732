"""Declares the flags of `captionfleet bench` (main process)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from captionfleet.bench.media import Busyness
from captionfleet.profiles.servers import ServerName

__all__ = ["BenchFlags"]

_Several = Annotated[list[str] | None, Parameter(negative="")]
_Switch = Annotated[bool, Parameter(negative="")]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class BenchFlags:
    """The flags of `bench`; `--help` shows the words below.

    Attributes:
        job: Job file (TOML): its [media], [request] and [[deployments]], and its sources; by
            default there is none.
        base_url: Where a deployment answers, up to /v1; repeat with --model for several; by default
            the job file's.
        model: The deployment's model string; by default the job file's.
        server: The kind of server: it decides whether clips are sent as video or as pictures, and
            with sound or without; by default the host's name decides, unknown hosts get video.
        api_key_env: Name of the environment variable with the key; by default FIREWORKS_API_KEY,
            which goes to Fireworks and to this machine alone unless it is named here.
        in_flight: Requests to keep in flight, repeatable; by default the bench searches for the
            knee.
        rate: Requests per second that arrive whether or not earlier ones were answered,
            repeatable; by default none.
        rates_around_knee: Also measure arrivals at 50 to 100 % of the knee's rate.
        max_in_flight: Most requests in flight.
        seconds: Steady seconds for each load, at least.
        requests: Requests for each load, at least.
        slo_s: A caption counts as good within this many seconds; by default every caption does.
        slo_ttft_s: And if its first token comes within this many seconds; by default at any time.
        sample: Number of clips to sample from the sources; with too few, a server that caches seems
            faster than it is.
        generate: Number of clips to generate if there are no sources.
        clip_seconds: Length of generated clips, in seconds.
        busyness: How much happens in them, which determines their size.
        prompt: The prompt for every clip; by default the job file's, or "Describe what happens in
            this video."
        only_request: Of a job with several [[request]], send only the one with this name;
            repeatable; by default all of them in turn for each clip.
        max_tokens: Longest caption, in tokens; 1000 by default.
        stream: Stream answers, which measures the time to the first token.
        timeout_s: Seconds that one request may take; 300 by default.
        store: Folder for prepared media, reused by later runs; by default captionfleet/media in the
            user's cache folder.
        seed: Seed, a whole number, of the sample, its order and the arrivals.
        out: File for the result (JSON), which `captionfleet plan` reads.
        quiet: Print only the summary.
    """

    job: Path | None = None
    base_url: _Several = None
    model: _Several = None
    server: ServerName | None = None
    api_key_env: str | None = None
    in_flight: Annotated[list[int] | None, Parameter(negative="")] = None
    rate: Annotated[list[float] | None, Parameter(negative="")] = None
    rates_around_knee: _Switch = False
    max_in_flight: Annotated[int, Parameter()] = 256
    seconds: float = 15.0
    requests: int = 30
    slo_s: float | None = None
    slo_ttft_s: float | None = None
    sample: int = 32
    generate: int = 16
    clip_seconds: float = 60.0
    busyness: Busyness = "calm"
    prompt: str | None = None
    only_request: _Several = None
    max_tokens: int | None = None
    stream: bool = True
    timeout_s: Annotated[float | None, Parameter(name=["--timeout-s", "--timeout"])] = None
    store: Path | None = None
    seed: int = 0
    out: Path = Path("bench.json")
    quiet: _Switch = False
