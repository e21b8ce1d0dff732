"""Opens buckets and URLs, with the credentials of the user's other tools (main process)."""

import importlib
import os
from collections import OrderedDict
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import Any

from captionfleet.errors import ConfigError, FailureCode
from captionfleet.messages.address import Address
from captionfleet.storage.errors import ACCESS, StorageError

__all__ = ["CONNECT_S", "REQUEST_S", "library", "store_for"]

_MOST_STORES = 64  # each store holds connections, and every row of a list may name another host
CONNECT_S, REQUEST_S = 10.0, 60.0
_OWN_RETRIES = 2
_OWN_RETRIES_S = 20

_stores: OrderedDict[tuple[str, float], Any] = OrderedDict()
_lock = Lock()


def library() -> Any:
    """The library that accesses buckets and web servers.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module("obstore")
    except ImportError:
        raise ConfigError(
            "addresses of buckets and web servers need obstore: pip install 'captionfleet[buckets]'"
        ) from None


def store_for(address: Address, request_s: float = REQUEST_S) -> Any:
    """The open store of a bucket, or of one URL. Blocks where a profile is read.

    Each of its requests may take `request_s`, its body included.

    Raises:
        ConfigError: the library is not installed.
        StorageError: the address is invalid, or its credentials cannot be read.
    """
    library()
    # One store for each URL: a path in a shared store would lose its query and escapes.
    url = address.opens if address.is_web else f"{address.scheme}://{address.bucket}"
    known = (url, request_s)
    with _lock:
        if known in _stores:
            _stores.move_to_end(known)
            return _stores[known]
    store = _open(address, url, request_s)
    with _lock:
        _stores[known] = store
        while len(_stores) > _MOST_STORES:
            _stores.popitem(last=False)
    return store


def _open(address: Address, url: str, request_s: float) -> Any:
    stores: Any = importlib.import_module("obstore.store")
    options: dict[str, Any] = {
        "client_options": {
            "connect_timeout": timedelta(seconds=CONNECT_S),
            "timeout": timedelta(seconds=request_s),
            "allow_http": _may_be_plain(address),
        },
        "retry_config": {
            "max_retries": _OWN_RETRIES,
            "retry_timeout": timedelta(seconds=_OWN_RETRIES_S),
        },
    }
    try:
        if address.is_web:
            return stores.HTTPStore.from_url(url, **options)
        if address.scheme == "s3" and (provider := _profile()) is not None:
            options["credential_provider"] = provider
        return stores.from_url(url, **options)
    except Exception:  # noqa: BLE001 - of many kinds, and their words may quote a key
        raise StorageError(
            FailureCode.SOURCE_UNREADABLE,
            f"{address.scheme}:// cannot be opened: is what it needs set: "
            f"{ACCESS.get(address.scheme, 'an address')}?",
        ) from None


def _may_be_plain(address: Address) -> bool:
    """Whether the address, or the endpoint in the environment, asks for unencrypted HTTP."""
    if address.is_web:
        return address.scheme == "http"
    endpoints = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "GOOGLE_BASE_URL")
    emulates = os.environ.get("AZURE_STORAGE_USE_EMULATOR", "").lower() in {"1", "true"}
    return emulates or any(os.environ.get(one, "").startswith("http://") for one in endpoints)


def _profile() -> Any:
    """Credentials of a profile in ~/.aws, single sign-on included; None for the library's own way.

    That is the environment, web identity, and the role of the container or machine.
    """
    if "AWS_ACCESS_KEY_ID" in os.environ or not _has_profile():
        return None
    try:
        boto3: Any = importlib.import_module("boto3")
        providers: Any = importlib.import_module("obstore.auth.boto3")
    except ImportError:
        return None
    session = boto3.Session()
    return providers.Boto3CredentialProvider(session) if session.get_credentials() else None


def _has_profile() -> bool:
    if os.environ.get("AWS_PROFILE"):
        return True
    files = {
        "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
        "AWS_CONFIG_FILE": "~/.aws/config",
    }
    return any(_is_file(os.environ.get(name, usual)) for name, usual in files.items())


def _is_file(path: str) -> bool:
    try:
        return Path(path).expanduser().is_file()
    except (OSError, RuntimeError):
        return False
