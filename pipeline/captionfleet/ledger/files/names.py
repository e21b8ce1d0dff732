"""Names the files in an output folder; no other module spells a name (main process; pure)."""

__all__ = [
    "ADOPTED",
    "CAPTIONS",
    "COPY",
    "FAILURES",
    "FILMS",
    "LOCK",
    "LOCK_HOLDER",
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
COPY = ".copy.json"  # what a folder and a copy of it in a bucket say of each other
