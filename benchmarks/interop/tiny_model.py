"""Make a Qwen3-Omni small enough for a processor core; run by the Python that vLLM lies in.

Architecture, processor and special tokens are the real ones, so frames, sound and their tokens are
handled as for the released model. The weights are vLLM's dummies, drawn by chance, and the
vocabulary is single bytes, so that nothing need be downloaded: what it writes is noise.
"""

import json
import sys
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

SPECIAL = """
<|endoftext|> <|im_start|> <|im_end|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|>
<|video_pad|> <|audio_start|> <|audio_end|> <|audio_pad|> <tts_pad> <tts_text_bos> <tts_text_eod>
<tts_text_bos_single>
""".split()
HIDDEN = 64
HEADS = 2
# Each part of a message becomes its placeholder, which the processor makes as long as the media.
TEMPLATE = """{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% else %}
{%- for part in message.content %}
{%- if 'video' in part.type %}<|vision_start|><|video_pad|><|vision_end|>
{%- elif 'audio' in part.type %}<|audio_start|><|audio_pad|><|audio_end|>
{%- elif 'image' in part.type %}<|vision_start|><|image_pad|><|vision_end|>
{%- else %}{{ part.text }}{% endif %}
{%- endfor %}{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def make_tokenizer(folder: Path) -> dict[str, int]:
    """Write a tokenizer of 256 bytes and the special tokens; return the ids of the latter."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate(letters)}
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(name, special=True, normalized=False) for name in SPECIAL]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {
        "image_token": "<|image_pad|>",
        "video_token": "<|video_pad|>",
        "audio_token": "<|audio_pad|>",
        "vision_bos_token": "<|vision_start|>",
        "vision_eos_token": "<|vision_end|>",
        "audio_bos_token": "<|audio_start|>",
        "audio_eos_token": "<|audio_end|>",
    }
    config = {
        "tokenizer_class": "Qwen2TokenizerFast",
        "model_max_length": 65536,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "chat_template": TEMPLATE,
        "extra_special_tokens": named,
        **named,
    }
    write(folder / "tokenizer_config.json", config)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return {name: tokenizer.token_to_id(name) for name in SPECIAL}


def audio_config() -> dict[str, Any]:
    """Two layers; the front end, which decides how many tokens a second has, as released."""
    return {
        "model_type": "qwen3_omni_moe_audio_encoder",
        "num_mel_bins": 128,
        "encoder_layers": 2,
        "encoder_attention_heads": HEADS,
        "encoder_ffn_dim": HIDDEN,
        "d_model": HIDDEN,
        "output_dim": HIDDEN,
        "max_source_positions": 1500,
        "n_window": 50,
        "n_window_infer": 800,
        "conv_chunksize": 500,
        "downsample_hidden_size": 16,
    }


def vision_config() -> dict[str, Any]:
    """Four layers; patches and their merging, which decide the tokens of a frame, as released."""
    return {
        "model_type": "qwen3_omni_moe_vision_encoder",
        "depth": 4,
        "deepstack_visual_indexes": [0, 1, 2],
        "hidden_size": HIDDEN,
        "out_hidden_size": HIDDEN,
        "intermediate_size": HIDDEN,
        "num_heads": HEADS,
        "in_channels": 3,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "num_position_embeddings": 2304,
        "image_size": 768,
        "apply_vit_abs_pos_embed": True,
        "spatial_patch_size": 16,
        "tokens_per_second": 2,
        "hidden_act": "gelu_pytorch_tanh",
    }


def text_config(tokens: int) -> dict[str, Any]:
    """Four layers of four experts."""
    return {
        "model_type": "qwen3_omni_moe_text",
        "vocab_size": tokens,
        "hidden_size": HIDDEN,
        "intermediate_size": HIDDEN,
        "moe_intermediate_size": HIDDEN,
        "num_hidden_layers": 4,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "head_dim": 32,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "decoder_sparse_step": 1,
        "norm_topk_prob": True,
        "mlp_only_layers": [],
        "max_position_embeddings": 65536,
        "hidden_act": "silu",
        "rope_theta": 1e6,
        "rope_scaling": {
            "rope_type": "default",
            "type": "default",
            "mrope_interleaved": True,
            "mrope_section": [6, 5, 5],
        },
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "dtype": "float32",
    }


def model_config(ids: dict[str, int]) -> dict[str, Any]:
    """The thinker alone: what speaks is left out."""
    thinker = {
        "model_type": "qwen3_omni_moe_thinker",
        "audio_start_token_id": ids["<|audio_start|>"],
        "audio_end_token_id": ids["<|audio_end|>"],
        "audio_token_id": ids["<|audio_pad|>"],
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "user_token_id": 0,
        "position_id_per_seconds": 13,
        "seconds_per_chunk": 2,
        "dtype": "float32",
        "audio_config": audio_config(),
        "vision_config": vision_config(),
        "text_config": text_config(512),
    }
    return {
        "architectures": ["Qwen3OmniMoeForConditionalGeneration"],
        "model_type": "qwen3_omni_moe",
        "enable_audio_output": False,
        "dtype": "float32",
        "im_start_token_id": ids["<|im_start|>"],
        "im_end_token_id": ids["<|im_end|>"],
        "tts_pad_token_id": ids["<tts_pad>"],
        "tts_bos_token_id": ids["<tts_text_bos>"],
        "tts_eos_token_id": ids["<tts_text_eod>"],
        "thinker_config": thinker,
        "talker_config": {},
        "code2wav_config": {},
    }


PROCESSOR = {
    "processor_class": "Qwen3OmniMoeProcessor",
    "image_processor_type": "Qwen2VLImageProcessor",
    "feature_extractor_type": "WhisperFeatureExtractor",
    "patch_size": 16,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "min_pixels": 3136,
    "max_pixels": 12845056,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "feature_size": 128,
    "sampling_rate": 16000,
    "hop_length": 160,
    "n_fft": 400,
    "n_samples": 4800000,
    "nb_max_frames": 30000,
    "padding_side": "right",
    "padding_value": 0.0,
    "dither": 0.0,
    "return_attention_mask": True,
}


def write(path: Path, value: dict[str, Any]) -> None:
    """Write one JSON file."""
    path.write_text(json.dumps(value, indent=1))


def main() -> None:
    """Write the model into the folder that is named."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    ids = make_tokenizer(folder)
    write(folder / "config.json", model_config(ids))
    write(folder / "preprocessor_config.json", PROCESSOR)
    ends = [ids["<|im_end|>"], ids["<|endoftext|>"]]
    write(folder / "generation_config.json", {"eos_token_id": ends, "pad_token_id": ends[1]})


if __name__ == "__main__":
    main()
