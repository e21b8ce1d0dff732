"""Two examples for the help of each command; pure."""

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
    "deployment": (
        "deployment create --scale-to-zero-window 5m",
        "deployment wait captionfleet-qwen3-omni --timeout-s 1800",
    ),
}


def examples(command: str) -> str:
    """The end of a command's help."""
    lines = "\n".join(f"    captionfleet {line}" for line in _EXAMPLES[command])
    return f"Examples:\n\n{lines}"
