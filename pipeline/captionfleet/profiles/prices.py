"""Lists the prices of GPUs per hour; pure (main process)."""

from dataclasses import dataclass

__all__ = ["GPU_PRICES", "PRICES_OF", "GpuPrice"]

PRICES_OF = "2026-11"
"""When the prices were read from fireworks.ai/pricing; they change."""


@dataclass(frozen=True, slots=True)
class GpuPrice:
    """US dollars for one GPU of a dedicated deployment, billed by the second while it is up."""

    gpu: str
    accelerator_type: str
    usd_per_hour: float


GPU_PRICES: dict[str, GpuPrice] = {
    price.gpu: price
    for price in (
        GpuPrice("A100 80GB", "NVIDIA_A100_80GB", 2.90),
        GpuPrice("H100 80GB", "NVIDIA_H100_80GB", 4.00),
        GpuPrice("H200 141GB", "NVIDIA_H200_141GB", 6.00),
        GpuPrice("B200 180GB", "NVIDIA_B200_180GB", 9.00),
    )
}
