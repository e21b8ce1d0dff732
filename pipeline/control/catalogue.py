"""The models that take video, and what a GPU costs by the hour; pure (main process)."""

from dataclasses import dataclass

__all__ = ["PRICES_AS_OF", "Model", "known_model", "known_names", "model_id", "price_per_hour"]

_MODELS = "accounts/fireworks/models/"
_SHAPES = "accounts/fireworks/deploymentShapes/"

PRICES_AS_OF = "2026-11"
# Dollars for a GPU by the hour, as published; billed by the second, from serving on.
_PRICES = {
    "NVIDIA_A100_80GB": 2.90,
    "NVIDIA_H100_80GB": 4.00,
    "NVIDIA_H200_141GB": 6.00,
    "NVIDIA_B200_180GB": 9.00,
}


@dataclass(frozen=True, slots=True)
class Model:
    """A model by its full name, the predefined shape if it has one, and that shape's GPU."""

    base_model: str
    shape: str | None = None
    accelerator: str = ""


# https://docs.fireworks.ai/guides/video-audio-inputs: Qwen3-Omni works with this shape only;
# the shapes of Molmo2 are looked up.
_KNOWN = {
    "qwen3-omni-30b-a3b-instruct": Model(
        f"{_MODELS}qwen3-omni-30b-a3b-instruct",
        f"{_SHAPES}qwen3-omni-30b-a3b-instruct-minimal",
        "NVIDIA_H200_141GB",
    ),
    "molmo2-4b": Model(f"{_MODELS}molmo2-4b"),
    "molmo2-8b": Model(f"{_MODELS}molmo2-8b"),
}
_SHORT = {"qwen3-omni": "qwen3-omni-30b-a3b-instruct"}


def model_id(base_model: str) -> str:
    """The last part of a model's name."""
    return base_model.rpartition("/")[2]


def known_model(name: str) -> Model | None:
    """The model of a name, short or full; None where it is none that takes video."""
    short = model_id(name).lower()
    return _KNOWN.get(_SHORT.get(short, short))


def known_names() -> tuple[str, ...]:
    """The models that `known_model` knows."""
    return tuple(_KNOWN)


def price_per_hour(accelerator: str, count: int) -> float | None:
    """Dollars for one replica with so many of these GPUs; None where the price is not known."""
    price = _PRICES.get(accelerator)
    return None if price is None else price * max(count, 1)
