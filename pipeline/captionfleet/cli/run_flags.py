"""The flags of `captionfleet run`, and what each lays over the job file (main process)."""

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
    """The flags as they are typed; the parser's help shows these words.

    Attributes:
        job: Job file (TOML), which flags override; by default there is none.
        out: Output folder, made if missing: captions.jsonl, failures.jsonl, run.json; by default
            the job file's.
        copy_to: Bucket and prefix, as in s3://bucket/captions, at which a copy of the output folder
            is kept; an empty folder is restored from it first; by default none is.
        base_url: Where a deployment answers, up to /v1; repeat with --model for several; by default
            the job file's.
        model: The deployment's model string; by default the job file's.
        server: What kind of server that is: it decides whether it gets a video or pictures, and
            sound; by default its host's name does, and unknown ones get a video.
        api_key_env: Name of the environment variable with the key; by default FIREWORKS_API_KEY,
            which goes to Fireworks and to this machine alone unless it is named here.
        prompt: What to ask of every clip; by default the job file's, or to describe what happens in
            it.
        max_tokens: Longest caption, in tokens; 1000 by default.
        temperature: Sampling temperature, 0 to 2; 0.3 by default.
        stream: Stream answers, which measures the time to the first token; off by default.
        max_in_flight: Ceiling of requests in flight, for each deployment; 32 by default.
        workers: Worker processes that prepare clips; by default one for each core, as far as
            there is memory for them.
        sampling: Which frames to take: those of ffmpeg's fps=1 (exact, the default), or the
            cheapest of each second.
        segments: What of a film is captioned: its first minute (max_seconds; first, the default),
            or all of it, in windows of that length (all) or by its scenes (scenes), each a clip
            with its own line.
        identity: What makes a file the same: stat, its path, size and change time, the default; or
            content, its bytes, so that a renamed file is not captioned again.
        relocate: OLD=NEW: the folder OLD lies at NEW today, and its files keep their captions; by
            default none has moved.
        retry_failed: Try permanent failures again: alone all of them, =CODE those with this code;
            by default none.
        recaption: Replace captions that were made with another prompt, model or settings; they
            stay until the new ones are in.
        where: With --recaption, replace those captions alone whose lines pass, as in
            flag=degenerate, whatever request made them; repeatable, and all have to hold; by
            default there is no such limit.
        only_request: Of a job with several [[request]], ask this one alone, by its name; with
            --recaption, replace its captions alone; repeatable; by default all are asked.
        from_list: With --recaption, replace the captions of the films alone that this text file
            names, a path in each line; by default there is no such limit.
        dry_run: Say what would be done: clips by reason, footage, tokens, time; nothing is written,
            and no deployment is asked.
        list_: With --dry-run, one line for each clip that would be captioned: reason, start and end
            in seconds, path, with tabs between.
        allow_empty: A run that finds no video at all ends with 0 instead of 2.
        limit: Stop after this many clips that need a caption; by default there is no limit.
        shard: I/N, as in 0/16 to 15/16: caption only the files of this share of the sources; by
            default all.
        deadline: Stop starting clips at this local time, as in 06:00; by default never.
        max_hours: Stop starting clips after this many hours; by default never.
        max_failures: Stop when so many clips have failed, as in 50, or as in 5% (of at least 20);
            by default never.
        max_tokens_total: Stop starting clips after so many tokens, in and out; by default never.
        drain_s: Seconds that an early end waits for what is in flight; 60 by default.
        timeout_s: Seconds that one request may take; 300 by default.
        store: Folder for prepared media, reused by later runs; by default captionfleet/media in
            the user's cache folder.
        metrics_port: Serve figures for Prometheus on this port of this machine while it lasts; by
            default on none.
        log_json: Log JSON lines to stderr, progress included.
        quiet: No progress and no summary: errors, and one line at the end.
        verbose: All figures at the end: latencies by percentile, tokens, what finished how.
        known_failures_ok: Exit with 0 where no clip failed but those that stood failed before.
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
        """What is laid over the job file, by section; None leaves it as it is."""
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
