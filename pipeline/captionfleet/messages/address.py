"""Parses addresses of objects: s3://, gs://, az://, https://; pure (any process)."""

import re
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

__all__ = ["Address", "address_in", "is_address", "parse_address", "shown_name", "without_keys"]

# A Path merges the slashes after the scheme: s3:/bucket/key is an address, too.
_SCHEME = re.compile(r"(s3|gs|az|https?):/+(?=[^/])", re.IGNORECASE)
_WEB = frozenset({"http", "https"})
# Query parameters of signed addresses:
# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html, Google's X-Goog-…,
# Azure's shared access signatures (sv, sp, se, …), CloudFront's three.
_SIGNING = re.compile(
    r"x-(amz|goog)-|aws.?access|(sv|sp|sr|st|se|si|sig|spr|sip|ss|srt|skoid|sktid|skt|ske|sks|skv)$"
    r"|policy$|key-pair-id$|.*(token|signature|credential|expires)",
    re.IGNORECASE,
)
# These may be permanent keys, or distinguish one file from another: a digest serves both.
_SECRET = re.compile(r".*(secret|passw|auth|key)", re.IGNORECASE)
_DIGEST_BYTES = 8
_DIGEST = re.compile(r"~[0-9a-f]{16}")


class Address(NamedTuple):
    """The place of an object, or of a part of a bucket.

    `shown` is the address without its signature, which acts as a key and changes from day to day.
    `opens` is the address as given, which must never be written anywhere.
    """

    scheme: str
    bucket: str
    key: str
    shown: str
    opens: str

    @property
    def is_web(self) -> bool:
        """Whether it is a single file behind a URL, where nothing can be listed."""
        return self.scheme in _WEB

    def below(self, name: str) -> "Address":
        """The address of an object of this name below this one."""
        key = f"{self.key.strip('/')}/{name}".lstrip("/")
        shown = f"{self.scheme}://{self.bucket}/{key}"
        return Address(self.scheme, self.bucket, key, shown, shown)


def is_address(name: str) -> bool:
    """Whether a source's name, even as changed by Path, is an address."""
    return _SCHEME.match(name) is not None


def address_in(name: str) -> str:
    """The address from which a Path was made; merged slashes stay merged."""
    found = _SCHEME.match(name)
    return f"{found[1].lower()}://{name[found.end() :]}" if found else name


def shown_name(name: str) -> str:
    """A source's name for output: an address without its signature."""
    try:
        return parse_address(name).shown if is_address(name) else name
    except ValueError:
        return without_keys(name)


def without_keys(name: str) -> str:
    """A URL in any other text for output: without query, user name and password."""
    scheme, separator, rest = address_in(name).partition("?")[0].partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def parse_address(name: str) -> Address:
    """Parse an address.

    Raises:
        ValueError: it is not an address, or names no bucket or host.
    """
    text = address_in(name)
    scheme, _, rest = text.partition("://")
    if not is_address(name):
        raise ValueError("no address")
    if scheme in _WEB:
        try:
            return _web(text)
        except ValueError:  # its message quotes what may be a password
            raise ValueError("no host, or an invalid port") from None
    bucket, _, key = rest.partition("/")
    return Address(scheme, bucket, key, text.rstrip("/"), text)


def _digest(value: str) -> str:
    if _DIGEST.fullmatch(value):  # the digest of an address that `shown` gave
        return value
    return f"~{blake2b(value.encode(), digest_size=_DIGEST_BYTES).hexdigest()}"


def _web(text: str) -> Address:
    parts = urlsplit(text)
    host = parts.hostname
    if not host:
        raise ValueError
    where = f"[{host}]" if ":" in host else host
    place = f"{where}:{parts.port}" if parts.port is not None else where
    kept = [
        (name, _digest(value) if _SECRET.match(name) else value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if not _SIGNING.match(name)
    ]
    path = quote(parts.path, safe="/%:@!$&'()*+,;=~-._")
    shown = urlunsplit((parts.scheme, place, path, urlencode(kept), ""))
    opens = urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
    return Address(parts.scheme, place, path.lstrip("/"), shown, opens)
