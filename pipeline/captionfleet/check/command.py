"""The `captionfleet check` command: reads flags, prints findings (main process)."""

import sys
from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter

from captionfleet.config import job_from_flags
from captionfleet.errors import ConfigError
from captionfleet.profiles.servers import ServerName
from captionfleet.telemetry import configure_logging

__all__ = ["check_command"]

_MOST_PROBED = 500


def check_command(  # noqa: PLR0913 - each argument is one flag of the command
    *sources: Path,
    job: Path | None = None,
    out: Path | None = None,
    base_url: Annotated[list[str] | None, Parameter(negative="")] = None,
    model: Annotated[list[str] | None, Parameter(negative="")] = None,
    server: ServerName | None = None,
    api_key_env: str | None = None,
    prompt: str | None = None,
    only_request: Annotated[list[str] | None, Parameter(negative="")] = None,
    timeout_s: Annotated[float | None, Parameter(name=["--timeout-s", "--timeout"])] = None,
    workers: int | None = None,
    canary: bool = True,
    probe: int = _MOST_PROBED,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Check a job before anything is paid for.

    Args:
        sources: As for run; they replace the job file's.
        job: Job file (TOML), which flags override; by default there is none.
        out: Output folder, to see what is already captioned; by default the job file's.
        base_url: Where a deployment answers, up to /v1; repeat with --model for several; by default
            the job file's.
        model: The deployment's model string; by default the job file's.
        server: The kind of server: it decides whether clips are sent as video or as pictures, and
            with sound or without; by default the host's name decides, unknown hosts get video.
        api_key_env: Name of the environment variable with the key; by default FIREWORKS_API_KEY,
            which goes to Fireworks and to this machine alone unless it is named here.
        prompt: The prompt for every clip; by default the job file's, or a general one.
        only_request: Of a job with several [[request]], check this one alone, by its name;
            repeatable for several; by default all of them.
        timeout_s: Seconds that one request may take; 300 by default.
        workers: Worker processes that read headers; by default one for each core, as far as there
            is memory for them.
        canary: Send the three small requests to each deployment; --no-canary: nothing is paid.
        probe: Number of files whose headers are read, drawn at random where there are more.
        json: Print the findings and the estimate as JSON.
    """
    from captionfleet.check.check import Options, check_job  # noqa: PLC0415 - as in the other commands

    if probe < 0:
        raise ConfigError("--probe: a number of files, 0 or more")
    settled = job_from_flags(
        job,
        {
            "input": {"sources": list(sources) or None, "only_request": only_request},
            "output": {"dir": out},
            "request": {"prompt": prompt, "timeout_s": timeout_s},
            "workers": {"processes": workers},
        },
        base_urls=base_url or (),
        models=model or (),
        each_deployment={"server": server, "api_key_env": api_key_env},
    )
    configure_logging()
    report = anyio.run(check_job, settled, Options(canary, probe))
    sys.stdout.write((report.json() if json else report.text()) + "\n")
    return report.exit_code
