"""Odd media made of bytes: joined, cut, forged and hostile files.

Each function writes into `folder` and returns the file to try; what else it writes there is what
the file refers to.
"""

import os
import struct
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

from captionfleet.standin.films.film import Film, Look, Sound, write_film
from captionfleet.standin.films.library import cut_off_no_moov, damaged_middle
from tests.support import oracle
from tests.support.odd_films import MUTE, SMALL

FIVE_SECONDS = replace(SMALL, seconds=5.0, gop_s=1.0, b_frames=2, sounds=(Sound("tone"),))
FAST_START = {"movflags": "+faststart"}
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}
BOMB_PX = 16_000  # about the largest square libav accepts by itself: a gigabyte as BGRA


def resolution_change(folder: Path) -> Path:
    """A transport stream whose pictures turn from 160x96 to 96x160 after two seconds."""
    wide = write_film(folder / "wide.ts", MUTE)
    tall = write_film(folder / "tall.ts", replace(MUTE, width_px=96, height_px=160, start_s=2.0))
    path = folder / "resolution_change.ts"
    path.write_bytes(wide.read_bytes() + tall.read_bytes())
    return path


def two_video_tracks(folder: Path) -> Path:
    """A small picture first and by default, a larger one second."""
    small = write_film(folder / "small.mp4", MUTE)
    large = write_film(folder / "large.mp4", replace(MUTE, width_px=320, height_px=192))
    path = folder / "two_video_tracks.mp4"
    oracle.ffmpeg("-i", small, "-i", large, "-map", "0:v", "-map", "1:v", "-c", "copy", path)
    return path


def vp8_alt_ref(folder: Path) -> Path:
    """VP8 with packets that show no picture: more packets than frames."""
    return _two_passes("libvpx", folder / "vp8_alt_ref.webm")


def vp9_alt_ref(folder: Path) -> Path:
    """VP9 with superframes: packets of two frames, the first not to be shown."""
    return _two_passes("libvpx-vp9", folder / "vp9_alt_ref.webm")


def _two_passes(codec: str, path: Path) -> Path:
    film = replace(SMALL, look=Look(scene_s=5.0, first_scene=2, grain=6))
    source, log = write_film(path.with_name("plain.mp4"), film), path.with_suffix(".log")
    # One thread: libvpx's VP8 threads wait for each other by spinning, for minutes on busy cores.
    settings = "-threads 1 -b:v 100k -auto-alt-ref 1 -lag-in-frames 25 -cpu-used 4 -g 60".split()
    for number, out in (("1", ("-an", "-f", "null", "-")), ("2", (path,))):
        passes = ("-pass", number, "-passlogfile", log)
        oracle.ffmpeg("-i", source, "-c:v", codec, *settings, *passes, *out)
    return path


def cover_art(folder: Path) -> Path:
    """A film with a cover picture, larger than the film, as an attached picture."""
    path, source = folder / "cover_art.mp4", write_film(folder / "plain.mp4", SMALL)
    with av.open(source) as film, av.open(path, "w") as container:
        copies = {s.index: container.add_stream_from_template(s) for s in film.streams}
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 320, 320, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        picture = np.full((480, 320), 128, dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format="yuvj420p")
        container.mux(cover.encode(frame) + cover.encode(None))
        for packet in film.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                container.mux(packet)
    return path


def name_with_newline(folder: Path) -> Path:
    """A sound film whose name would break a line-based log."""
    return write_film(folder / 'new\nline "quoted" \x1b[31m.mp4', SMALL)


def name_not_utf8(folder: Path) -> Path:
    """A sound film whose name is Latin-1 bytes."""
    return write_film(folder / os.fsdecode(b"caf\xe9.mp4"), SMALL)


def truncated_fast_start(folder: Path) -> Path:
    """The index says five seconds, the data ends after three."""
    film = replace(FIVE_SECONDS, container_options=FAST_START)
    return cut_off_no_moov(write_film(folder / "truncated_fast_start.mp4", film))


def truncated_fragmented(folder: Path) -> Path:
    """A fragmented MP4 that ends within a fragment."""
    film = replace(FIVE_SECONDS, container_options=FRAGMENTED)
    return cut_off_no_moov(write_film(folder / "truncated_fragmented.mp4", film))


def truncated_ts(folder: Path) -> Path:
    """A transport stream that ends within a packet."""
    return cut_off_no_moov(write_film(folder / "truncated.ts", FIVE_SECONDS))


def moov_missing(folder: Path) -> Path:
    """An MP4 that was cut off before its index: no program opens it."""
    return cut_off_no_moov(write_film(folder / "moov_missing.mp4", FIVE_SECONDS))


def bytes_damaged(folder: Path) -> Path:
    """An MP4 with a tenth of its bytes overwritten, in the middle: packets fail to decode."""
    return damaged_middle(write_film(folder / "bytes_damaged.mp4", FIVE_SECONDS))


def bytes_damaged_ts(folder: Path) -> Path:
    """The same in a transport stream: frames are missing, yet nothing fails to decode."""
    return damaged_middle(write_film(folder / "bytes_damaged.ts", FIVE_SECONDS))


def bytes_damaged_matroska(folder: Path) -> Path:
    """The same in Matroska: the demuxer skips the damage without a word."""
    return damaged_middle(write_film(folder / "bytes_damaged.mkv", FIVE_SECONDS))


def text_renamed(folder: Path) -> Path:
    """Words in a file called .mp4."""
    path = folder / "text_renamed.mp4"
    path.write_text("No picture at all, only words.\n" * 40)
    return path


def ffconcat_renamed(folder: Path) -> Path:
    """A script in a file called .mp4 that makes libav read another file."""
    write_film(folder / "secret.mov", MUTE)
    path = folder / "ffconcat_renamed.mp4"
    path.write_text("ffconcat version 1.0\nfile secret.mov\n")
    return path


def hls_renamed(folder: Path) -> Path:
    """An HLS playlist in a file called .mp4 that names another file."""
    write_film(folder / "secret.ts", MUTE)
    path = folder / "hls_renamed.mp4"
    lines = ("#EXTM3U", "#EXT-X-TARGETDURATION:2", "#EXTINF:2.0,", "secret.ts", "#EXT-X-ENDLIST")
    path.write_text("\n".join(lines) + "\n")
    return path


def empty_file(folder: Path) -> Path:
    """No byte at all."""
    path = folder / "empty_file.mp4"
    path.touch()
    return path


def zero_streams(folder: Path) -> Path:
    """What the guide's command leaves of a clip shorter than half a second: 261 bytes, rc 0."""
    short = write_film(folder / "short.mp4", replace(MUTE, seconds=0.4))
    return oracle.guide_video(short, folder / "zero_streams.mp4")


def zero_tracks_matroska(folder: Path) -> Path:
    """Only subtitles: neither picture nor sound in a file of a video's kind."""
    words = folder / "words.srt"
    words.write_text("1\n00:00:00,000 --> 00:00:01,000\nHello.\n")
    path = folder / "zero_tracks.mkv"
    oracle.ffmpeg("-i", words, path)
    return path


def bomb_gif(folder: Path) -> Path:
    """Forty bytes that decode to a gigabyte: a one-pixel image on a huge canvas."""
    path = folder / "bomb.gif"
    screen = struct.pack("<HHBBB", BOMB_PX, BOMB_PX, 0xF0, 0, 0) + bytes(6)
    image = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    path.write_bytes(b"GIF89a" + screen + image + b";")
    return path


def bomb_30000(folder: Path) -> Path:
    """A Motion JPEG of 32x32 whose headers, of track and picture, say 30000x30000."""
    film = Film(seconds=0.03, width_px=32, height_px=32, codec="mjpeg", pix_fmt="yuvj420p")
    path = write_film(folder / "bomb_30000.mp4", film)
    data, size = bytearray(path.read_bytes()), struct.pack(">HH", 30_000, 30_000)
    sample_entry = data.index(b"mp4v", data.index(b"stsd"))
    data[sample_entry + 28 : sample_entry + 32] = size
    start_of_frame = data.index(b"\xff\xc0")
    data[start_of_frame + 5 : start_of_frame + 9] = size
    path.write_bytes(data)
    return path


FILES = (
    resolution_change, two_video_tracks, vp8_alt_ref, vp9_alt_ref, cover_art,
    name_with_newline, name_not_utf8,
    truncated_fast_start, truncated_fragmented, truncated_ts, moov_missing,
    bytes_damaged, bytes_damaged_ts, bytes_damaged_matroska,
    text_renamed, ffconcat_renamed, hls_renamed, empty_file, zero_streams, zero_tracks_matroska,
    bomb_gif, bomb_30000,
)  # fmt: skip
