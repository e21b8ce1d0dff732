"""Lists the models that take video, with shapes and names for deployments; pure (main process)."""

from dataclasses import dataclass

from captionfleet.profiles.prices import GPU_PRICES

__all__ = [
    "Deployable",
    "deployable",
    "deployable_names",
    "is_known",
    "model_id",
    "price_per_hour",
    "short_name",
]

_MODELS = "accounts/fireworks/models/"
_SHAPES = "accounts/fireworks/deploymentShapes/"


@dataclass(frozen=True, slots=True)
class Deployable:
    """A model by its full name, the predefined shape if it has one, and that shape's GPU."""

    base_model: str
    shape: str | None = None
    accelerator: str = ""


# https://docs.fireworks.ai/guides/video-audio-inputs: Qwen3-Omni works with this shape only;
# the shapes of Molmo2 are looked up.
_KNOWN = {
    "qwen3-omni-30b-a3b-instruct": Deployable(
        f"{_MODELS}qwen3-omni-30b-a3b-instruct",
        f"{_SHAPES}qwen3-omni-30b-a3b-instruct-minimal",
        "NVIDIA_H200_141GB",
    ),
    "molmo2-4b": Deployable(f"{_MODELS}molmo2-4b"),
    "molmo2-8b": Deployable(f"{_MODELS}molmo2-8b"),
}
_SHORT = {"qwen3-omni": "qwen3-omni-30b-a3b-instruct"}
_PRICES = {price.accelerator_type: price.usd_per_hour for price in GPU_PRICES.values()}


def model_id(base_model: str) -> str:
    """The last part of a model's name."""
    return base_model.rpartition("/")[2]


def deployable(name: str) -> Deployable | None:
    """The model with this name, short or full.

    A model of the user's account, under its full name, has no known shape. None for a name that is
    not a model that takes video.
    """
    own = model_id(name).lower()
    known = _KNOWN.get(_SHORT.get(own, own))
    if known is None and name.startswith("accounts/") and "/models/" in name:
        return Deployable(name)
    return known


def is_known(base_model: str) -> bool:
    """Whether a model is one of those that take video."""
    return model_id(base_model).lower() in _KNOWN


def short_name(name: str) -> str:
    """A model's common name."""
    own = model_id(name).lower()
    return next((short for short, full in _SHORT.items() if full == own), own)


def deployable_names() -> tuple[str, ...]:
    """The models that are known by a short name."""
    return tuple(short_name(name) for name in _KNOWN)


def price_per_hour(accelerator: str, count: int) -> float | None:
    """US dollars for a replica with this many of these GPUs; None if the price is unknown."""
    price = _PRICES.get(accelerator)
    return None if price is None else price * max(count, 1)
