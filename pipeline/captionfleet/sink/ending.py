"""Formats the end of a run in a few lines for people; pure (main process)."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from captionfleet import text
from captionfleet.errors import FailureCode
from captionfleet.ledger.files.names import CAPTIONS, FAILURES, RUN
from captionfleet.messages import for_terminal

__all__ = [
    "GO_ON",
    "copied_to",
    "copy_behind",
    "cut_in_words",
    "ending_text",
    "noun_of",
    "skipped_in_words",
]

GO_ON = "run the same command again to go on"
_LABEL_CHARS = 12
_MOST_CODES = 3
_SIGNALS = {129: "the end of its terminal (SIGHUP)", 130: "Ctrl-C (SIGINT)", 143: "SIGTERM"}
_REASONS = {"not_video": "not video"}


def ending_text(run: Mapping[str, Any]) -> str:
    """Counts, failures by reason, duration, the bottleneck and the files to look at.

    `run` has the keys of run.json.
    """
    return "\n".join(f"{label:<{_LABEL_CHARS}}{row}".rstrip() for label, row in _rows(run))


def skipped_in_words(run: Mapping[str, Any]) -> list[str]:
    """Clips and files that the run skipped, with the count for each reason."""
    found = [
        (run["already_captioned"], "captioned before"),
        (run["standing_failures"], "failed for good before"),
        *(
            (number, _REASONS.get(why, why.replace("_", " ")))
            for why, number in run["passed_over"].items()
        ),
    ]
    return [f"{number:,} {reason}" for number, reason in found if number]


def cut_in_words(run: Mapping[str, Any]) -> str:
    """The footage left out of films longer than their window; runs of earlier versions lack it."""
    cut = run.get("cut_to_window") or {"films": 0}
    if not cut["films"]:
        return ""
    films = f"{cut['films']:,} film{'' if cut['films'] == 1 else 's'}"
    return f"{cut['share']:.0%} of the footage, of {films} longer than a clip"


def copied_to(run: Mapping[str, Any]) -> str:
    """The address of a current copy of the folder; empty without one. Older runs lack it."""
    copy = run.get("copy") or {}
    return str(copy["to"]) if copy and copy["is_current"] else ""


def copy_behind(run: Mapping[str, Any]) -> str:
    """Why a copy of the folder is not current; empty if it is current or there is none."""
    copy = run.get("copy") or {}
    if not copy or copy["is_current"]:
        return ""
    return f"the copy at {copy['to']} is not current: {copy['problem']}"


def _rows(run: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield _how_it_ended(run), _done(run)
    if run["failed"]:
        yield "failed", _failed(run)
    if skipped := skipped_in_words(run):
        yield "skipped", ", ".join(skipped)
    if cut := cut_in_words(run):
        yield "left out", f"{cut}: --segments all captions it"
    tokens = run["prompt_tokens"] + run["completion_tokens"]
    yield (
        "took",
        ", ".join([text.seconds(run["seconds"]), *_rates(run), f"{text.short(tokens)} tokens"]),
    )
    if limited := _limited(run):
        yield "limited by", limited
    yield from _warnings(run)
    if to := copied_to(run):
        yield "copied to", for_terminal(to)
    if (folder := _folder(run)) is not None:
        files = [CAPTIONS] * bool(run["captioned"] or run["already_captioned"])
        files += [FAILURES] * bool(run["failed"] or run["standing_failures"])
        yield (
            "look at",
            for_terminal(", ".join(str(folder / name) for name in files or [RUN])),
        )


def _how_it_ended(run: Mapping[str, Any]) -> str:
    return {"complete": "finished", "error": "gave up"}.get(run["ended"], "stopped")


def _done(run: Mapping[str, Any]) -> str:
    counts = _counts(run, run["planned"], "unfinished")
    match run["ended"]:
        case "signal":
            by = _SIGNALS.get(run["exit_code"], "a signal")
            # The number that the bar showed, not only clips begun; older runs lack it.
            counts = _counts(run, run.get("expected", run["planned"]), "left")
            return f"by {by}: {counts}: {GO_ON}"
        case "limit":
            limit = "--limit" if run["limit"] in {None, "limit"} else f"the limit {run['limit']}"
            return f"at {limit}: {counts}: {GO_ON}"
        case "complete" if not run["planned"]:
            return "nothing was left to caption" + _still_failed(run)
        case "complete" if not run["failed"]:
            done = f"all {run['planned']:,} {noun_of(run)} are {_participle(run)}"
            return done + _of_requests(run) + _still_failed(run)
    return f"{counts} (exit code {run['exit_code']})"


def _counts(run: Mapping[str, Any], of: int, rest: str) -> str:
    counts = f"{run['captioned']:,} of {of:,} {noun_of(run)} {_participle(run)}{_of_requests(run)}"
    if run["failed"]:
        counts += f", {run['failed']:,} failed"
    if left := of - run["captioned"] - run["failed"]:
        counts += f", {left:,} {rest}"
    return counts


def noun_of(run: Mapping[str, Any]) -> str:
    """The thing counted: captions where requests have names, else clips."""
    tables = run.get("settings", {}).get("requests") or ()  # older runs know none
    is_named = run.get("requests") or any(table.get("name") for table in tables)
    return "captions" if is_named else "clips"


def _participle(run: Mapping[str, Any]) -> str:
    return "there" if noun_of(run) == "captions" else "captioned"


def _of_requests(run: Mapping[str, Any]) -> str:
    """The number of captions of each named request; older runs lack it."""
    counts = run.get("requests") or {}
    return f" ({', '.join(f'{number:,} {name}' for name, number in counts.items())})" * bool(counts)


def _still_failed(run: Mapping[str, Any]) -> str:
    if not run["standing_failures"]:
        return ""
    number = run["standing_failures"]
    return f"; {number:,} that failed before still stand (exit code {run['exit_code']})"


def _failed(run: Mapping[str, Any]) -> str:
    codes = list(run["failures_by_code"].items())
    parts = [f"{number:,} {code} ({_meaning(code)})" for code, number in codes[:_MOST_CODES]]
    others = sum(number for _, number in codes[_MOST_CODES:])
    return "; ".join(parts + [f"{others:,} of other codes"] * bool(others))


def _meaning(code: str) -> str:
    try:
        return FailureCode(code).meaning
    except ValueError:  # of a later version
        return "unknown"


def _rates(run: Mapping[str, Any]) -> list[str]:
    if not run["captioned"]:
        return []
    per_s = run["clips_per_s"]
    noun = noun_of(run)
    rate = f"{per_s:.3g} {noun}/s" if per_s >= 1 else f"{per_s * 60:.3g} {noun}/min"
    return [rate, f"{run['source_hours_per_hour']:.3g} hours of video an hour"]


def _limited(run: Mapping[str, Any]) -> str:
    shares = run["bottleneck"]
    cores, deployments = shares["cores"], shares["deployments"]
    if not (run["captioned"] or run["failed"]) or not (cores or deployments):
        return ""
    whose = "the cluster's cores" if run.get("nodes") else "this machine's cores"
    if shares["limit"] == "cores":
        return f"{whose} ({cores:.0%} busy; deployments {deployments:.0%})"
    return f"the deployments ({deployments:.0%} busy; {whose} {cores:.0%})"


def _warnings(run: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, why in run.get("refusing", {}).items():
        yield "warning", for_terminal(f"{name} {why}")
    for name, tokens in run["media_tokens"].items():
        if tokens["remark"]:
            yield "warning", f"{name}: {tokens['remark']}: see captionfleet check, or --verbose"
    for name, node in run.get("nodes", {}).items():  # older ones do not know it
        if node["refused"]:
            yield "warning", for_terminal(f"node {name} got no clips: {node['refused']}")
    if behind := copy_behind(run):
        yield "warning", for_terminal(behind)
    if run["torn_lines_repaired"]:
        yield "repaired", f"{run['torn_lines_repaired']} torn line(s) of a run that was killed"
    if run.get("ignored_lines"):  # older ones do not know it
        yield "warning", f"{run['ignored_lines']:,} line(s) of captions.jsonl name no clip"


def _folder(run: Mapping[str, Any]) -> Path | None:
    folder = run.get("settings", {}).get("output", {}).get("dir")
    return Path(folder) if folder else None
