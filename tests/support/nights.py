"""One run after the other into one folder, in this process, over films that somebody prepared."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from captionfleet import JobConfig, run_job
from captionfleet.sink import RunSummary
from captionfleet.standin.server import Standin
from tests.support.output import Output

Tables = Mapping[str, Mapping[str, Any]]
NIGHT_S = 120.0


@dataclass(frozen=True, slots=True)
class Nights:
    """A library in `videos`, and the folder `out` that every run of it writes to."""

    folder: Path
    store: Path
    max_in_flight: int = 32

    @property
    def videos(self) -> Path:
        """The library."""
        return self.folder / "videos"

    @property
    def output(self) -> Output:
        """The output folder."""
        return Output(self.folder / "out")

    def job(self, *standins: Standin, **tables: Mapping[str, Any]) -> JobConfig:
        """A job over the library; `tables` are laid over its sections."""
        own: dict[str, dict[str, Any]] = {
            "input": {"sources": [self.videos], "settle_s": 0},
            "output": {"dir": self.output.folder},
            "store": {"dir": self.store},
            "workers": {"processes": 1},
        }
        for name, table in tables.items():
            own[name] = own.get(name, {}) | dict(table)
        deployments = [
            {
                "base_url": standin.base_url,
                "model": "omni",
                "api_key_env": "",
                "max_in_flight": self.max_in_flight,
            }
            for standin in standins
        ]
        return JobConfig.model_validate(own | {"deployments": deployments})

    async def run(self, *standins: Standin, **tables: Mapping[str, Any]) -> RunSummary:
        """One night."""
        with anyio.fail_after(NIGHT_S):
            return await run_job(self.job(*standins, **tables))

    def captions(self) -> dict[str, str]:
        """The captions by source."""
        return {line["source"]: line["caption"] for line in self.output.captions}
