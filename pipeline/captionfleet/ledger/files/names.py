"""Names the files in an output folder; no other module spells a name (main process; pure)."""

__all__ = [
    "ADOPTED",
    "CAPTIONS",
    "COPY",
    "FAILURES",
    "FILMS",
    "LEFT_ON",
    "LOCK",
    "LOCK_HOLDER",
    "MERGE",
    "PRUNED",
    "REPORT",
    "REQUESTS",
    "RUN",
    "RUNS",
    "SAME",
    "TIMELINE",
]

CAPTIONS = "captions.jsonl"
FAILURES = "failures.jsonl"
RUN = "run.json"
RUNS = "runs"  # a folder: a copy of run.json of each run
TIMELINE = "timeline.json"
REQUESTS = "requests.json"
SAME = "same.jsonl"
FILMS = "films.jsonl"
ADOPTED = "adopted.jsonl"
PRUNED = "pruned.jsonl"
REPORT = "report.html"
LOCK = ".lock"
LOCK_HOLDER = ".lock-holder.json"
MERGE = "merge.json"
LEFT_ON = ".left-on"  # a folder: records of deployments that a run may leave on
COPY = ".copy.json"  # how a folder and its copy in a bucket identify each other
