"""What a report's page holds, read from its blocks."""

from collections.abc import Mapping
from typing import Any

import orjson


def blocks_of(blocks: Mapping[int, bytes]) -> dict[int, dict[str, Any]]:
    """The clips' media by number."""
    return {number: orjson.loads(block) for number, block in blocks.items()}
