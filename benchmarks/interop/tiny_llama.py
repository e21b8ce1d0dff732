"""Serve a Qwen2-VL small enough for a processor core by llama.cpp's own server.

Run by the Python that `xllamacpp` lies in, which holds llama-server as a library: FOLDER PORT. The
architecture, the picture encoder and the way pictures become tokens are those of the released
model; weights are drawn by chance and the vocabulary is bytes, so that nothing is downloaded and
what it writes is noise.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xllamacpp
from gguf import GGUFWriter, TokenType

SPECIAL = "<|endoftext|> <|im_start|> <|im_end|> <|vision_start|> <|vision_end|> <|image_pad|>"
TEMPLATE = """{%- for message in messages -%}
<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
WIDTH, HEADS, FEED_FORWARD, PATCH_PX, MEL_BINS = 64, 2, 128, 14, 128
CONTEXT_TOKENS = 65_536  # 60 pictures of 640x360 are 18,000
PARALLEL = 2
RANDOM = np.random.default_rng(1)


def byte_letters() -> list[str]:
    """The letters that stand for the 256 bytes in vocabularies of GPT-2's kind, by byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte if byte in plain else next(others)) for byte in range(256)]


def tensor(*shape: int) -> Any:
    """Numbers drawn by chance."""
    return RANDOM.normal(0, 0.05, shape).astype(np.float32)


def layer(prefix: str, names: dict[str, tuple[int, ...]]) -> Iterator[tuple[str, Any]]:
    """The named tensors of one layer; a norm's weights are ones."""
    for name, shape in names.items():
        is_norm = "norm.weight" in name or name in {"ln1.weight", "ln2.weight"}
        yield f"{prefix}.{name}", np.ones(shape, np.float32) if is_norm else tensor(*shape)


def write_text_model(path: Path) -> None:
    """Two layers, and a tokenizer of bytes with one merge, since there has to be one."""
    tokens = [*byte_letters(), "th", *SPECIAL.split()]
    kinds = [TokenType.NORMAL] * 257 + [TokenType.CONTROL] * len(SPECIAL.split())
    writer = GGUFWriter(path, "qwen2vl")
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(2)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e6)
    writer.add_rope_dimension_sections([4, 6, 6, 0])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(["t h"])
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_pad_token_id(tokens.index("<|endoftext|>"))
    writer.add_chat_template(TEMPLATE)
    writer.add_tensor("token_embd.weight", tensor(len(tokens), WIDTH))
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    square = {f"attn_{one}.weight": (WIDTH, WIDTH) for one in ("q", "k", "v", "output")}
    biases = {f"attn_{one}.bias": (WIDTH,) for one in "qkv"}
    forward: dict[str, tuple[int, ...]] = {
        "ffn_gate.weight": (FEED_FORWARD, WIDTH),
        "ffn_up.weight": (FEED_FORWARD, WIDTH),
        "ffn_down.weight": (WIDTH, FEED_FORWARD),
    }
    norms = {"attn_norm.weight": (WIDTH,), "ffn_norm.weight": (WIDTH,)}
    for number in range(2):
        for name, values in layer(f"blk.{number}", {**norms, **square, **biases, **forward}):
            writer.add_tensor(name, values)
    _write(writer)


def write_encoders(path: Path) -> None:
    """Two layers for pictures and two for sound, and what makes tokens of their parts."""
    writer = GGUFWriter(path, "clip")
    add_pictures(writer)
    add_sound(writer)
    _write(writer)


def add_encoder(writer: GGUFWriter, medium: str, projector: str, **numbers: int) -> None:
    """What the two encoders have in common."""
    writer.add_bool(f"clip.has_{medium}_encoder", val=True)
    writer.add_string(f"clip.{medium}.projector_type", projector)
    common = {
        "embedding_length": WIDTH,
        "feed_forward_length": FEED_FORWARD,
        "projection_dim": WIDTH,
        "block_count": 2,
        "attention.head_count": HEADS,
    }
    for name, number in (common | numbers).items():
        writer.add_uint32(f"clip.{medium}.{name}", number)
    writer.add_float32(f"clip.{medium}.attention.layer_norm_epsilon", 1e-6)
    short = medium[0]
    shapes: dict[str, tuple[int, ...]] = {"ln1.weight": (WIDTH,), "ln2.weight": (WIDTH,)}
    shapes |= {"ln1.bias": (WIDTH,), "ln2.bias": (WIDTH,)}
    for one in ("attn_q", "attn_k", "attn_v", "attn_out"):
        shapes[f"{one}.weight"] = (WIDTH, WIDTH)
        if (short, one) != ("a", "attn_k"):  # Whisper's encoder has no such bias
            shapes[f"{one}.bias"] = (WIDTH,)
    shapes |= {"ffn_up.weight": (FEED_FORWARD, WIDTH), "ffn_up.bias": (FEED_FORWARD,)}
    shapes |= {"ffn_down.weight": (WIDTH, FEED_FORWARD), "ffn_down.bias": (WIDTH,)}
    for number in range(2):
        for name, values in layer(f"{short}.blk.{number}", shapes):
            writer.add_tensor(name, values)
    writer.add_tensor(f"{short}.post_ln.weight", np.ones(WIDTH, np.float32))
    writer.add_tensor(f"{short}.post_ln.bias", tensor(WIDTH))


def add_sound(writer: GGUFWriter) -> None:
    """Qwen2-Audio's encoder, which is Whisper's, as Qwen2.5-Omni has it."""
    add_encoder(writer, "audio", "qwen2a", num_mel_bins=MEL_BINS)
    writer.add_tensor("a.position_embd.weight", tensor(1500, WIDTH))
    writer.add_tensor("a.conv1d.1.weight", tensor(WIDTH, MEL_BINS, 3))
    writer.add_tensor("a.conv1d.1.bias", tensor(WIDTH, 1))
    writer.add_tensor("a.conv1d.2.weight", tensor(WIDTH, WIDTH, 3))
    writer.add_tensor("a.conv1d.2.bias", tensor(WIDTH, 1))
    writer.add_tensor("mm.a.fc.weight", tensor(WIDTH, WIDTH))
    writer.add_tensor("mm.a.fc.bias", tensor(WIDTH))


def add_pictures(writer: GGUFWriter) -> None:
    """Qwen2-VL's encoder: patches and their merging, which decide the tokens, as released."""
    add_encoder(writer, "vision", "qwen2vl_merger", image_size=560, patch_size=PATCH_PX)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    for name in ("v.patch_embd.weight", "v.patch_embd.weight.1"):
        writer.add_tensor(name, tensor(WIDTH, 3, PATCH_PX, PATCH_PX))
    writer.add_tensor("mm.0.weight", tensor(4 * WIDTH, 4 * WIDTH))
    writer.add_tensor("mm.0.bias", tensor(4 * WIDTH))
    writer.add_tensor("mm.2.weight", tensor(WIDTH, 4 * WIDTH))
    writer.add_tensor("mm.2.bias", tensor(WIDTH))


def _write(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    """Make the model and serve it until killed."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    write_text_model(folder / "text.gguf")
    write_encoders(folder / "mmproj.gguf")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(folder / "text.gguf")
    parameters.mmproj.path = str(folder / "mmproj.gguf")
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.n_parallel = PARALLEL
    parameters.cpuparams.n_threads = 2
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
