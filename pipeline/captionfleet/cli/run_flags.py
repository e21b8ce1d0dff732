"""Declares the flags of `captionfleet run` and the key that each overrides (main process)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from captionfleet.profiles.servers import ServerName

__all__ = ["RunFlags"]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class RunFlags:
    """The flags of `run`; `--help` shows the words below.

    Attributes:
        job: Job file (TOML), which flags override; by default there is none.
        out: Output folder, made if missing: captions.jsonl, failures.jsonl, run.json; by default
            the job file's.
        copy_to: Bucket and prefix, as in s3://bucket/captions, for a copy of the output folder; an
            empty folder is restored from it first; by default there is no copy.
        base_url: Where a deployment answers, up to /v1; repeat with --model for several; by default
            the job file's.
        model: The deployment's model string; by default the job file's.
        server: The kind of server: it decides whether clips are sent as video or as pictures, and
            with sound or without; by default the host's name decides, unknown hosts get video.
        api_key_env: Name of the environment variable with the key; by default FIREWORKS_API_KEY,
            which goes to Fireworks and to this machine alone unless it is named here.
        prompt: The prompt for every clip; by default the job file's, or "Describe what happens in
            this video."
        max_tokens: Longest caption, in tokens; 1000 by default.
        temperature: Sampling temperature, 0 to 2; 0.3 by default.
        stream: Stream answers, which measures the time to the first token; off by default.
        max_in_flight: Most requests in flight at each deployment; 32 by default.
        workers: Worker processes that prepare clips; by default one for each core, as far as
            there is memory for them.
        sampling: Which frames to take: those of ffmpeg's fps=1 (exact, the default), or the
            cheapest of each second.
        segments: Which part of a film is captioned: first, the default, its first max_seconds;
            all, the whole film in windows of that length; scenes, the whole film by its scenes.
            Each window or scene is a clip with a line of its own.
        identity: How a file is recognised: stat, the default, by path, size and change time;
            content, by its bytes, so that a renamed file is not captioned again.
        relocate: OLD=NEW: the folder OLD was moved to NEW, and its files keep their captions; by
            default none was moved.
        retry_failed: Retry permanent failures: all of them, or with =CODE those of one code; by
            default none.
        recaption: Replace captions from another prompt, model or setting; each old one stays until
            its new one is written.
        where: With --recaption, replace only captions whose lines match, as in flag=degenerate,
            including those of the current request; repeatable, and all must match; by default
            there is no filter.
        only_request: Of a job with several [[request]], send only the one with this name; with
            --recaption, replace only its captions; repeatable; by default all are sent.
        from_list: With --recaption, replace only captions of films that this text file names, one
            path a line; by default there is no such list.
        dry_run: Print what a run would do: clips by reason, footage, tokens, time. Writes nothing
            and sends no request.
        list_: With --dry-run, print a line for each clip to caption: reason, start and end in
            seconds, path, separated by tabs.
        allow_empty: End with exit code 0 instead of 2 when the sources hold no video.
        limit: Stop after this many clips that need a caption; by default there is no limit.
        shard: I/N, as in 0/16 to 15/16: caption only the files of this share of the sources; by
            default all.
        deadline: Stop starting clips at this local time, as in 06:00; by default never.
        max_hours: Stop starting clips after this many hours; by default never.
        max_failures: Stop after this many failed clips, as in 50, or this share of the clips, as in
            5% (of at least 20); by default never.
        max_tokens_total: Stop starting clips after this many tokens, in and out; by default never.
        drain_s: Seconds to wait for requests in flight when a run ends early; 60 by default.
        timeout_s: Seconds that one request may take; 300 by default.
        store: Folder for prepared media, reused by later runs; by default captionfleet/media in
            the user's cache folder.
        metrics_port: Serve Prometheus metrics on this port of this machine during the run; off by
            default.
        log_json: Log JSON lines to stderr, progress included.
        quiet: Show no progress and no summary, only errors and one line at the end.
        verbose: Print all figures at the end: latency percentiles, tokens, finish reasons.
        known_failures_ok: Exit with 0 if no clips failed except those that earlier runs reported.
    """

    job: Path | None = None
    out: Path | None = None
    copy_to: str | None = None
    base_url: Annotated[list[str] | None, Parameter(negative="")] = None
    model: Annotated[list[str] | None, Parameter(negative="")] = None
    server: ServerName | None = None
    api_key_env: str | None = None
    prompt: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    stream: bool | None = None
    max_in_flight: int | None = None
    workers: int | None = None
    sampling: Literal["exact", "fast"] | None = None
    segments: Literal["first", "all", "scenes"] | None = None
    identity: Literal["stat", "content"] | None = None
    relocate: Annotated[list[str] | None, Parameter(negative="")] = None
    retry_failed: Annotated[list[str] | None, Parameter(negative="")] = None
    recaption: Annotated[bool, Parameter(negative="")] = False
    where: Annotated[list[str] | None, Parameter(negative="")] = None
    only_request: Annotated[list[str] | None, Parameter(negative="")] = None
    from_list: Path | None = None
    dry_run: Annotated[bool, Parameter(negative="")] = False
    list_: Annotated[bool, Parameter(name="--list", negative="")] = False
    allow_empty: Annotated[bool, Parameter(negative="")] = False
    limit: int | None = None
    shard: str | None = None
    deadline: str | None = None
    max_hours: float | None = None
    max_failures: str | None = None
    max_tokens_total: int | None = None
    drain_s: float | None = None
    timeout_s: Annotated[float | None, Parameter(name=["--timeout-s", "--timeout"])] = None
    store: Path | None = None
    metrics_port: int | None = None
    log_json: Annotated[bool, Parameter(negative="")] = False
    quiet: Annotated[bool, Parameter(negative="")] = False
    verbose: Annotated[bool, Parameter(negative="")] = False
    known_failures_ok: Annotated[bool, Parameter(negative="")] = False

    def overrides(self, sources: Sequence[Path]) -> dict[str, dict[str, object]]:
        """The flags as tables of the job file; None leaves a key as it is."""
        return {
            "input": {
                "sources": list(sources) or None,
                "allow_empty": self.allow_empty or None,
                "limit": self.limit,
                "shard": self.shard,
                "identity": self.identity,
                "segments": self.segments,
                "relocate": self.relocate,
                "retry_failed": self.retry_failed,
                "only_request": self.only_request,
            },
            "limits": {
                "deadline": self.deadline,
                "max_hours": self.max_hours,
                "max_failures": self.max_failures,
                "max_tokens_total": self.max_tokens_total,
                "drain_s": self.drain_s,
            },
            "media": {"sampling": self.sampling},
            "workers": {"processes": self.workers},
            "store": {"dir": self.store},
            "metrics": {"port": self.metrics_port},
            "request": {
                "prompt": self.prompt,
                "max_tokens": self.max_tokens,
                "temperature": self.temperature,
                "stream": self.stream,
                "timeout_s": self.timeout_s,
            },
            "output": {
                "dir": self.out,
                "copy_to": self.copy_to,
                "recaption": self.recaption or None,
                "recaption_where": self.where,
                "recaption_list": self.from_list,
            },
        }
