"""Splits a clip's latency into stages that add up; pure (main process)."""

from typing import Any

from captionfleet.ledger.files.reading import measure_in, number_in, table_in

__all__ = ["STAGES", "stages_of"]

STAGES = {
    "decode": "reading, decoding and scaling, and the sound",
    "encode": "the frames as H.264",
    "store": "hashing, and keeping or finding the media in the store",
    "queue": "waiting for a place, earlier attempts and back-off",
    "upload": "connecting and sending the body",
    "first token": "from the last byte sent to the first token",
    "rest": "from there to the last byte of the answer",
}


def stages_of(line: dict[str, Any]) -> dict[str, float | None]:
    """Seconds by stage, None if unknown; the known ones add up to the total.

    If the time of the first token is unknown, the last stage begins at the end of the upload.
    """
    latency = table_in(line, "latency")
    known = {name: number_in(latency, f"{name}_s") for name in _NAMES}
    known |= {name: measure_in(latency, f"{name}_s") for name in _NEVER_ZERO}
    decode, encode = known["decode"], known["encode"]
    upload, first = known["upload"], _first_token(line, known["ttft"], known["upload"])
    return {
        "decode": decode,
        "encode": encode,
        "store": _less(known["prepare"], decode, encode),
        "queue": known["queue"],
        "upload": upload,
        "first token": first,
        "rest": _less(known["request"], upload, first),
    }


_NAMES = ("prepare", "queue", "request")
_NEVER_ZERO = ("decode", "encode", "upload", "ttft")


def _first_token(line: dict[str, Any], ttft: float | None, upload: float | None) -> float | None:
    # The server's own time counts from its receipt of the request, the measured one from before
    # that.
    reported_s = number_in(table_in(line, "server"), "server-time-to-first-token")
    return ttft if ttft is None or ttft == reported_s else _less(ttft, upload)


def _less(whole: float | None, *parts: float | None) -> float | None:
    if whole is None:
        return None
    return max(0.0, whole - sum(part for part in parts if part is not None))
