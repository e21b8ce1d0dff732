"""Count the tokens of prepared clips by the models' own processors; run by vLLM's Python.

Usage: python processor_tokens.py PREPARED TOKENIZER, a folder that `captionfleet prepare` wrote and
one with Qwen's tokenizer, whose vocabulary Molmo2 has as well. Prints a row for each clip: what the
profiles' arithmetic goes by, and what comes of it. tests/profiles/processor_tokens.csv is made so.
"""

import csv
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import torch
from transformers import PreTrainedTokenizerFast, Qwen2VLVideoProcessor, WhisperFeatureExtractor
from transformers.models.qwen3_omni_moe import processing_qwen3_omni_moe as omni
from vllm.model_executor.models.molmo2 import build_flat_video_bool_length

# Qwen3-Omni's preprocessor_config.json, and its processor's own bounds for videos.
VIDEO = Qwen2VLVideoProcessor(patch_size=16, temporal_patch_size=2, merge_size=2)
BOUNDS = omni.Qwen3OmniMoeProcessorKwargs._defaults["videos_kwargs"]["size"]  # noqa: SLF001 - theirs
AUDIO = WhisperFeatureExtractor(feature_size=128, n_samples=4_800_000, nb_max_frames=30_000)
# Molmo2's preprocessor_config.json.
MOLMO_SIDE_PX, MOLMO_PATCH_PX, MOLMO_POOLED = 378, 14, 3
COLUMNS = ("clip", "frames", "width", "height", "audio_s", "qwen_video", "qwen_audio", "molmo2")


def pictures_of(path: Path) -> Any:
    """All frames, as frames x height x width x RGB."""
    with av.open(str(path)) as file:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])


def sound_of(path: Path) -> Any:
    """Mono samples at 16 kHz."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=16_000)
    with av.open(str(path)) as file:
        frames = [part for one in file.decode(audio=0) for part in resampler.resample(one)]
    frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def qwen_video(pictures: Any) -> int:
    """Tokens of Qwen3-Omni for a video, without the marks around it."""
    made = VIDEO(
        videos=[pictures.transpose(0, 3, 1, 2)],
        size=BOUNDS,
        do_sample_frames=False,
        return_tensors="pt",
    )
    return int(made["video_grid_thw"][0].prod()) // VIDEO.merge_size**2


def qwen_audio(samples: Any) -> int:
    """Tokens of Qwen3-Omni for sound, without the marks around it."""
    made = AUDIO(
        [samples],
        sampling_rate=16_000,
        padding=True,
        truncation=False,
        return_attention_mask=True,
        return_tensors="pt",
    )
    counted = omni._get_feat_extract_output_lengths  # noqa: SLF001 - theirs
    return int(counted(made["attention_mask"].sum(-1))[0])


def molmo2(frames: int, tokenizer: Any) -> int:
    """Tokens of Molmo2 for a video of one frame a second, with the text of their times."""
    side = MOLMO_SIDE_PX // MOLMO_PATCH_PX // MOLMO_POOLED
    marks = SimpleNamespace(image_patch_id=1, frame_start_token_id=2, frame_end_token_id=3)
    _, lengths = build_flat_video_bool_length(torch.tensor([[frames, side, side]]), marks)
    times = [(" " if at else "") + f"{float(at):.1f} " for at in range(frames)]
    text = sum(len(tokenizer.encode(time, add_special_tokens=False)) for time in times)
    return int(lengths.sum()) + text


def main() -> None:
    """Print the table."""
    folder, own = map(Path, sys.argv[1:])
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(own / "tokenizer.json"))
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(COLUMNS)
    for path in sorted(folder.glob("*.json")):
        media = json.loads(path.read_bytes())["media"]
        pictures, sound = pictures_of(path.with_suffix(".mp4")), path.with_suffix(".ogg")
        heard = qwen_audio(sound_of(sound)) if media["has_audio"] else 0
        size = (media["frames"], media["width"], media["height"], media["audio_s"])
        seen = qwen_video(pictures), heard, molmo2(len(pictures), tokenizer)
        table.writerow((path.name.partition(".")[0], *size, *seen))


if __name__ == "__main__":
    main()
