"""Holds facts about models, servers and prices, with sources; pure (main process)."""

from captionfleet.profiles.fields import unknown_fields
from captionfleet.profiles.models import PROFILES, Profile, profile_of, text_tokens_between
from captionfleet.profiles.prices import GPU_PRICES, PRICES_OF, GpuPrice
from captionfleet.profiles.servers import SERVERS, ServerKind, server_of

__all__ = [
    "GPU_PRICES",
    "PRICES_OF",
    "PROFILES",
    "SERVERS",
    "GpuPrice",
    "Profile",
    "ServerKind",
    "profile_of",
    "server_of",
    "text_tokens_between",
    "unknown_fields",
]
