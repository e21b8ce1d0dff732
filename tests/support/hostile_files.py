"""Files made to hurt: bombs, references to other files, and scripts under a video's name.

Each function writes into `folder` and returns the file to try.
"""

import base64
import struct
from pathlib import Path

from captionfleet.standin.films.film import write_film
from tests.support.odd_films import FILMS, MUTE

AVI = FILMS["avi_no_pts"][1]
_ALIAS = bytes.fromhex("616c6973")  # the type of a reference to another file
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_TICKS_PER_S = 1000
_MEDIA_OFFSET = 28  # after `ftyp` and the header of `mdat`


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _full(kind: bytes, *parts: bytes) -> bytes:
    return _box(kind, bytes(4), *parts)


def _u32(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def _track(
    number: int,
    *,
    samples: int = 1,
    sample_bytes: int = 1,
    ticks: int = 1,
    size_px: int = 32,
    reference: bytes = b"",
) -> bytes:
    """A Motion JPEG track whose tables claim what they are told to, in a few hundred bytes."""
    length = samples * ticks & 0xFFFFFFFF
    header = _box(
        b"tkhd", _u32(7, 0, 0, number, 0, length), bytes(16), _MATRIX, _u32(*[size_px << 16] * 2)
    )
    entry = _box(
        b"jpeg", bytes(6), struct.pack(">H", 1), bytes(16), struct.pack(">HH", size_px, size_px),
        _u32(0x480000, 0x480000, 0), struct.pack(">H", 1), bytes(32), struct.pack(">Hh", 24, -1),
    )  # fmt: skip
    table = _box(
        b"stbl",
        _full(b"stsd", _u32(1), entry),
        _full(b"stts", _u32(1, samples, ticks)),
        _full(b"stsc", _u32(1, 1, samples, 1)),
        _full(b"stsz", _u32(sample_bytes, samples)),
        _full(b"stco", _u32(1, _MEDIA_OFFSET)),
    )
    references = _full(b"dref", _u32(1), reference or _box(b"url ", _u32(1)))
    media = _box(
        b"mdia",
        _full(b"mdhd", _u32(0, 0, _TICKS_PER_S, length), bytes(4)),
        _full(b"hdlr", bytes(4), b"vide", bytes(12), b"\0"),
        _box(b"minf", _box(b"vmhd", _u32(1), bytes(8)), _box(b"dinf", references), table),
    )
    return _box(b"trak", header, media)


def _movie(*tracks: bytes, media: bytes = bytes(64)) -> bytes:
    header = _full(
        b"mvhd", _u32(0, 0, _TICKS_PER_S, 1000, 0x10000), bytes(12), _MATRIX, bytes(24), _u32(99)
    )
    brand = _box(b"ftyp", b"isom", _u32(0), b"isom")
    return brand + _box(b"mdat", media) + _box(b"moov", header, *tracks)


def many_streams(folder: Path) -> Path:
    """An MP4 of twenty thousand tracks."""
    path = folder / "many_streams.mp4"
    path.write_bytes(_movie(_track(1) * 20_000))
    return path


def index_bomb(folder: Path) -> Path:
    """A file of 647 bytes whose index takes 0.2 GB."""
    path = folder / "index_bomb.mp4"
    path.write_bytes(_movie(_track(1, samples=5_000_000)))
    return path


def countless_packets(folder: Path) -> Path:
    """A moment of 100,000 packets, not one of which is a picture."""
    path = folder / "countless_packets.mp4"
    path.write_bytes(_movie(_track(1, samples=100_000, ticks=0), media=bytes(100_000)))
    return path


def other_files_media(folder: Path) -> Path:
    """A QuickTime reference movie: the index is here, the media are in another file."""
    secret = write_film(folder / "secret.mov", MUTE)
    name = secret.name.encode()
    path = bytes(secret)
    alias = b"".join(
        (
            bytes(10), b"\x01v".ljust(28, b"\0"), bytes(12),
            bytes([len(name)]), name.ljust(63, b"\0"), bytes(16), struct.pack(">HH", 1, 1),
            bytes(16), struct.pack(">HH", 2, len(path)), path, bytes(len(path) % 2),
            struct.pack(">HH", 0xFFFF, 0), bytes(150),
        )
    )  # fmt: skip
    reference = _box(_ALIAS, _u32(0), alias)
    movie = folder / "other_files_media.mov"
    movie.write_bytes(_movie(_track(1, sample_bytes=secret.stat().st_size, reference=reference)))
    return movie


def large_gif(folder: Path, side_px: int) -> Path:
    """A one-pixel image on a square canvas: 35 bytes that take four bytes a pixel to decode."""
    path = folder / f"large_{side_px}.gif"
    screen = struct.pack("<HHBBB", side_px, side_px, 0xF0, 0, 0) + bytes(6)
    image = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    path.write_bytes(b"GIF89a" + screen + image + b";")
    return path


def index_without_media(folder: Path) -> Path:
    """An AVI that announces sixty frames and ends before the first."""
    path = write_film(folder / "index_without_media.avi", AVI)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"movi") + 4])
    return path


def hls_of_a_file_url(folder: Path) -> Path:
    """An HLS playlist in a file called .mp4 that names another file by its whole path."""
    secret = write_film(folder / "secret.ts", MUTE)
    return _playlist(folder / "hls_of_a_file_url.mp4", f"file://{secret}")


def hls_of_a_data_url(folder: Path) -> Path:
    """An HLS playlist in a file called .mp4 that brings its film along in a URL."""
    film = base64.b64encode(write_film(folder / "secret.ts", MUTE).read_bytes()).decode()
    return _playlist(folder / "hls_of_a_data_url.mp4", f"data:video/mp2t;base64,{film}")


def _playlist(path: Path, url: str) -> Path:
    lines = ("#EXTM3U", "#EXT-X-TARGETDURATION:2", "#EXTINF:2.0,", url, "#EXT-X-ENDLIST")
    path.write_text("\n".join(lines) + "\n")
    return path


def dash_renamed(folder: Path) -> Path:
    """A DASH manifest in a file called .mp4 that names another file."""
    secret = write_film(folder / "secret.mp4", MUTE)
    path = folder / "dash_renamed.mp4"
    path.write_text(
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"'
        ' mediaPresentationDuration="PT2S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011">'
        '<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1">'
        f"<BaseURL>{secret.name}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )
    return path


def sdp_renamed(folder: Path) -> Path:
    """A session description in a file called .mp4 that has libav listen on the network."""
    path = folder / "sdp_renamed.mp4"
    path.write_text(
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        "m=video 5004 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    )
    return path
