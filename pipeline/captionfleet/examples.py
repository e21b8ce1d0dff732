"""Holds two examples for the `--help` of each command; pure."""

__all__ = ["examples"]

_SERVER = "--base-url http://gpu:8000/v1 --model qwen3-omni"
_EXAMPLES = {
    "run": (
        f"run videos/ --out captions {_SERVER}",
        "run --job nightly.toml --deadline 06:00 --quiet --known-failures-ok",
    ),
    "prepare": (
        "prepare videos/ --out prepared --limit 5",
        "prepare --job nightly.toml --out prepared",
    ),
    "demo": ("demo", "demo videos/"),
    "failures": ("failures captions", "failures captions --code undecodable --paths0"),
    "plan": (
        "plan videos/ --from captions --by 2026-11-23T06:00",
        "plan --from bench.json --clips 100000 --max-cost 500",
    ),
    "check": ("check --job nightly.toml", f"check videos/ {_SERVER}"),
    "serve": ("serve --port 8000", "serve --service-time-s 2 --fault 429:0.3"),
    "bench": (f"bench {_SERVER}", f"bench videos/ --in-flight 8 --in-flight 16 {_SERVER}"),
    "report": ("report captions", "report captions --sample 500 --out page.html"),
    "schema": ("schema", "schema failures --format duckdb"),
    "merge": ("merge shard-0 shard-1 --out captions", "merge shards/0 shards/1 --out all --quiet"),
    "export": (
        "export captions --to parquet --out captions.parquet",
        "export captions --to txt --where flag!=truncated --single-line",
    ),
    "prune": ("prune captions", "prune captions --yes"),
    "deployment": (
        "deployment create --scale-to-zero-window 5m",
        "deployment wait captionfleet-qwen3-omni --timeout-s 1800",
    ),
    "deployment create": (
        "deployment create --scale-to-zero-window 5m",
        "deployment create molmo2-8b --max-replicas 4 --dry-run",
    ),
    "deployment list": ("deployment list", "deployment list --json"),
    "deployment status": (
        "deployment status captionfleet-qwen3-omni",
        "deployment status captionfleet-qwen3-omni --json",
    ),
    "deployment wait": (
        "deployment wait captionfleet-qwen3-omni",
        "deployment wait captionfleet-qwen3-omni --timeout-s 1800 --quiet",
    ),
    "deployment scale": (
        "deployment scale captionfleet-qwen3-omni 0",
        "deployment scale captionfleet-qwen3-omni --min-replicas 1 --max-replicas 4",
    ),
    "deployment delete": (
        "deployment delete captionfleet-qwen3-omni",
        "deployment delete captionfleet-qwen3-omni --ignore-checks --yes",
    ),
    "deployment reap": ("deployment reap --dry-run", "deployment reap --out captions"),
}


def examples(command: str) -> str:
    """The section "Examples" of a command's help."""
    lines = "\n".join(f"    captionfleet {line}" for line in _EXAMPLES[command])
    return f"Examples:\n\n{lines}"
