"""Writes the README card of a folder for the Hugging Face Hub; pure (main process)."""

__all__ = ["readme_card"]

_CARD = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train.parquet
task_categories:
- video-text-to-text
tags:
- video
- captions
---

# Video captions

One row for each clip: `caption` is the text, `source` the film's name, `start_s` and `end_s` the
window in seconds, `model` what was asked. The films are not part of this dataset. Made by
captionfleet.

```python
from datasets import load_dataset

captions = load_dataset("path/to/this/folder", split="train")
```
"""


def readme_card() -> bytes:
    """The card, which names the one data file."""
    return _CARD.encode()
