"""Defines the findings of a check, and its exit code; pure (main process)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import orjson

from captionfleet.messages import for_terminal

__all__ = ["Finding", "Report", "fail", "ok", "warn"]

Level = Literal["ok", "warn", "fail"]

_GENERAL = 1
_BAD_JOB = 2
_NO_OUTPUT = 3
_NO_DEPLOYMENT = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was checked, the result, and advice.

    `exit_code` is the one that `captionfleet run` would end with for this alone; 1 for a problem
    that a run would not notice.
    """

    check: str
    level: Level
    text: str
    advice: str = ""
    deployment: str = ""
    exit_code: int = 0

    def line(self) -> str:
        """The finding in words."""
        name = f"{self.deployment} {self.check}".strip()
        advice = f" -> {self.advice}" if self.advice else ""
        return for_terminal(f"{self.level:<5} {name:<22} {self.text}{advice}")


def ok(check: str, text: str, *, deployment: str = "") -> Finding:
    """A finding without a problem."""
    return Finding(check, "ok", text, "", deployment)


def warn(check: str, text: str, advice: str = "", *, deployment: str = "") -> Finding:
    """A finding that does not prevent a run."""
    return Finding(check, "warn", text, advice, deployment)


def fail(
    check: str, text: str, advice: str = "", *, deployment: str = "", exit_code: int = _GENERAL
) -> Finding:
    """A finding that prevents a run, or makes it useless."""
    return Finding(check, "fail", text, advice, deployment, exit_code)


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, and the estimate if there is one."""

    findings: Sequence[Finding]
    deployments: Sequence[str]
    estimate: dict[str, Any] | None = None

    @property
    def exit_code(self) -> int:
        """0 without a failure; 2 a bad job; 3 the output; 4 no deployment to use; else 1."""
        failed = [one for one in self.findings if one.level == "fail"]
        codes = {one.exit_code for one in failed}
        if before_all := codes & {_BAD_JOB, _NO_OUTPUT}:
            return min(before_all)
        out = {one.deployment for one in failed if one.exit_code == _NO_DEPLOYMENT}
        if out and out.issuperset(self.deployments):
            return _NO_DEPLOYMENT
        return _GENERAL if failed else 0

    def text(self) -> str:
        """A line for each finding, and the total."""
        counts = {level: sum(f.level == level for f in self.findings) for level in ("warn", "fail")}
        last = f"{counts['fail']} failed, {counts['warn']} to look at, exit code {self.exit_code}"
        return "\n".join([*(finding.line() for finding in self.findings), last])

    def json(self) -> str:
        """The same, indented."""
        return orjson.dumps(self.as_dict(), option=orjson.OPT_INDENT_2).decode()

    def as_dict(self) -> dict[str, Any]:
        """Everything, for programs."""
        findings = [asdict(finding) for finding in self.findings]
        return {"exit_code": self.exit_code, "findings": findings, "estimate": self.estimate}
