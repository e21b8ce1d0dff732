"""Lists kinds of servers, and the form of pictures and sound that each takes; pure (main process).

Each entry names the source of its facts, and the month. Only versions in `tested` were tried on a
real server (benchmarks/README.md has the table); the rest is from documentation or source code.
"""

from dataclasses import dataclass
from typing import Literal

from captionfleet.profiles.models import Profile

__all__ = ["SERVERS", "ServerKind", "ServerName", "server_of"]

ServerName = Literal[
    "generic", "vllm", "sglang", "llama-server", "ollama", "lm-studio", "openai", "gemini"
]


@dataclass(frozen=True, slots=True)
class ServerKind:
    """The media that a kind of server takes.

    Attributes:
        video_as: How pictures are sent.
        audio_as: How sound is sent, if at all.
        sound: The models that get sound by default: all but those known to take none, only those
            known to take it, or none.
        source: Where these facts were read.
        as_of: The month of the source or of the reading.
        tested: The version that was tested; empty for none.
        counts_as_transformers: Whether its images cost as many tokens as in the model's own Hugging
            Face processor. Others scale images by rules of their own.
        limit_field: The name of the field that limits the answer's tokens.
        hosts: Host names of services of this kind.
    """

    name: ServerName
    video_as: Literal["video_url", "frames"]
    audio_as: Literal["audio_url", "input_audio"]
    sound: Literal["unless deaf", "if it hears", "never"]
    source: str
    as_of: str
    tested: str = ""
    counts_as_transformers: bool = False
    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    hosts: tuple[str, ...] = ()

    def sends_sound(self, model: Profile) -> bool:
        """Whether a model gets sound if the job does not set it."""
        if self.sound == "if it hears":
            return model.name != "generic" and "audio" in model.modalities
        return self.sound != "never" and "audio" in model.modalities


SERVERS: dict[ServerName, ServerKind] = {
    kind.name: kind
    for kind in (
        ServerKind(
            "generic",
            "video_url",
            "audio_url",
            "unless deaf",
            "https://docs.fireworks.ai/guides/video-audio-inputs, whose parts are vLLM's",
            "2026-11",
        ),
        ServerKind(
            "vllm",
            "video_url",
            "audio_url",
            "unless deaf",
            "vLLM 0.32, which takes image_url and input_audio as well",
            "2026-11",
            tested="0.32.0",
            counts_as_transformers=True,
        ),
        ServerKind(
            "sglang",
            "video_url",
            "audio_url",
            "unless deaf",
            "https://github.com/sgl-project/sglang: srt/entrypoints/openai/protocol.py",
            "2026-11",
        ),
        # Earlier versions answer 400 to video_url (ggml-org/llama.cpp#27724); that of 2026-10 takes
        # it if it finds ffmpeg, and decodes four frames a second (--video-fps), so that each sent
        # frame would be paid for four times. Sound (wav and mp3; Ogg gets a 400) gets a 500 if the
        # projector has no audio encoder, and most have none.
        ServerKind(
            "llama-server",
            "frames",
            "input_audio",
            "if it hears",
            "https://github.com/ggml-org/llama.cpp/blob/master/docs/multimodal.md",
            "2026-11",
            tested="2026.10.11549",
        ),
        # Of content parts, text and images in base64; FromChatRequest in openai/openai.go answers
        # "invalid message format" to any other.
        ServerKind(
            "ollama",
            "frames",
            "input_audio",
            "never",
            "https://docs.ollama.com/api/openai-compatibility",
            "2026-11",
            hosts=("ollama.com",),
        ),
        ServerKind(
            "lm-studio",
            "frames",
            "input_audio",
            "never",
            "https://lmstudio.ai/docs/api/openai-api: chat completions take text and images",
            "2026-11",
        ),
        # Content parts are text, image_url and input_audio (wav, mp3); models with vision refuse
        # sound (openai/openai-python#2454), and those with sound take no images. max_tokens is
        # deprecated, and reasoning models refuse it.
        ServerKind(
            "openai",
            "frames",
            "input_audio",
            "never",
            "https://platform.openai.com/docs/api-reference/chat/create",
            "2026-11",
            limit_field="max_completion_tokens",
            hosts=("api.openai.com",),
        ),
        ServerKind(
            "gemini",
            "frames",
            "input_audio",
            "unless deaf",
            "https://ai.google.dev/gemini-api/docs/openai",
            "2026-11",
            hosts=("generativelanguage.googleapis.com",),
        ),
    )
}
"""By the name that a job gives. `generic` is any other OpenAI-compatible server."""


def server_of(host: str, name: str = "auto") -> ServerKind:
    """The kind of server that the job names, or that of a known host.

    The port is ignored: people move servers, and put proxies before them.
    """
    if name in SERVERS:
        return SERVERS[name]
    found = (kind for kind in SERVERS.values() if host.lower().rstrip(".") in kind.hosts)
    return next(found, SERVERS["generic"])
