"""A file that reads to its regular end is whole, whatever durations it claims."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from captionfleet.errors import FailureCode, MediaError
from captionfleet.media.opening.ending import ends_regularly
from tests.support import oracle
from tests.support.made import make

PICTURE = ("-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=12")
SOUND = ("-f", "lavfi", "-i", "sine=f=440:r=16000:d=12")
CODED = (
    "-pix_fmt",
    "yuv420p",
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-bf",
    "0",
    "-c:a",
    "aac",
)
FORMATS = {
    "film.mp4": ("mov,mp4,m4a,3gp,3g2,mj2", ("-movflags", "+faststart")),
    "film.mkv": ("matroska,webm", ()),
    "film.avi": ("avi", ("-c:a", "libmp3lame")),
    "film.flv": ("flv", ()),
}


def film(folder: Path, name: str = "film.mp4", *options: str, gop: int = 20) -> Path:
    """Twelve seconds of picture and sound."""
    coded = (*CODED, "-g", str(gop), *options)
    oracle.ffmpeg(*PICTURE, *SOUND, *coded, folder / name)
    return folder / name


def shifted(source: Path, target: Path, pause_s: int, left_out_s: int = 5) -> Path:
    """The same packets, with a pause after five seconds, some of those that follow left out."""
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        streams = {one.index: written.add_stream_from_template(one) for one in read.streams}
        for packet in read.demux():
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            at_s = packet.pts * packet.time_base
            if 5 <= at_s < 5 + left_out_s:
                continue
            if at_s >= 5 + left_out_s:
                ticks = int(pause_s / packet.time_base)
                packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
            packet.stream = streams[packet.stream_index]
            written.mux(packet)
    return target


def cut_by_stream_copy(folder: Path) -> Path:
    """An edit list hides what comes before the cut, back to the key frame."""
    source = film(folder, "source.mp4", gop=200)
    oracle.ffmpeg("-ss", "7.2", "-i", source, "-t", "3", "-c", "copy", folder / "film.mp4")
    return folder / "film.mp4"


def picture_of_an_album(folder: Path) -> Path:
    """One picture, and sound that lasts."""
    one = ("-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=0.1")
    oracle.ffmpeg(*one, *SOUND, *CODED, folder / "film.mkv")
    return folder / "film.mkv"


def subtitle_that_outlasts_the_film(folder: Path) -> Path:
    """The container is as long as its longest stream."""
    words = folder / "words.srt"
    words.write_text(
        "1\n00:00:01,000 --> 00:00:02,000\nHi\n\n2\n00:05:00,000 --> 00:05:02,000\nBye\n"
    )
    source = film(folder, "source.mp4")
    maps = ("-map", "0", "-map", "1", "-c", "copy", "-c:s", "srt")
    oracle.ffmpeg("-i", source, "-i", words, *maps, folder / "film.mkv")
    return folder / "film.mkv"


def clock_that_starts_late(folder: Path) -> Path:
    """The container's duration counts from zero, where there is nothing."""
    source = film(folder, "source.mp4")
    oracle.ffmpeg("-i", source, "-c", "copy", "-output_ts_offset", "30", folder / "film.mkv")
    return folder / "film.mkv"


def slides_with_a_voice(folder: Path) -> Path:
    """Between two pictures lie the headers of hundreds of sound packets."""
    slides = ("-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=60", "-f", "lavfi", "-i", "sine=d=60")
    sparse = ("-vf", r"select='lt(t\,4)+not(mod(n\,120))'", "-fps_mode", "vfr")
    coded = ("-pix_fmt", "yuv420p", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8")
    oracle.ffmpeg(*slides, *sparse, *coded, "-c:a", "libopus", folder / "film.webm")
    return folder / "film.webm"


def pause_in_sound_and_picture(folder: Path) -> Path:
    """Nothing was recorded for forty seconds, and nothing is missing from the file."""
    return shifted(film(folder, "source.mp4"), folder / "film.mkv", 40)


def pause_in_a_broadcast(folder: Path) -> Path:
    """A transport stream, whose clock goes on through a pause of eight seconds."""
    return shifted(film(folder, "source.mp4"), folder / "film.ts", 8, 0)


def pause_in_windows_media(folder: Path) -> Path:
    """The same in a WMV."""
    source = film(folder, "source.wmv", "-c:v", "wmv2", "-c:a", "wmav2")
    return shifted(source, folder / "film.wmv", 8, 0)


def pause_in_a_program_stream(folder: Path) -> Path:
    """The same in an MPEG program stream, as DVDs have it."""
    source = film(folder, "source.mpg", "-r", "25", "-c:v", "mpeg2video", "-c:a", "mp2")
    return shifted(source, folder / "film.mpg", 8, 0)


def clock_that_jumps_by_days(folder: Path) -> Path:
    """A recorder's clock is set right midway, from 1970, say: no film pauses for 32 hours."""
    return shifted(film(folder, "source.mp4"), folder / "film.mkv", 32 * 3600, 0)


# Frames of `ffmpeg -i FILM -t 60 -vf fps=1`; where it gives none, the only picture is repeated.
FILMS: dict[Callable[[Path], Path], int] = {
    cut_by_stream_copy: 3,
    picture_of_an_album: 0,
    subtitle_that_outlasts_the_film: 12,
    clock_that_starts_late: 12,
    slides_with_a_voice: 48,
    pause_in_sound_and_picture: 52,
    pause_in_a_broadcast: 20,
    pause_in_windows_media: 20,
    pause_in_a_program_stream: 20,
    clock_that_jumps_by_days: 12,
}


@pytest.mark.parametrize("write", FILMS, ids=lambda write: write.__name__)
def test_whole_film_is_no_damage(write: Callable[[Path], Path], tmp_path: Path) -> None:
    """Every picture that FFmpeg gives is sent, and nothing is said to be lost."""
    facts = make(write(tmp_path), tmp_path).facts
    assert facts.damage.coverage == 1.0
    assert facts.damage.packets_lost == 0
    assert facts.frames - facts.damage.padded_frames == FILMS[write]


def test_multiplex_gives_the_sound_of_its_picture(tmp_path: Path) -> None:
    """Of two programmes in one file, the sound that is sent belongs to the picture that is."""
    small = ("-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=6")
    low = ("-f", "lavfi", "-i", "sine=f=500:d=6")
    large = ("-f", "lavfi", "-i", "testsrc2=s=320x180:r=10:d=6")
    high = ("-f", "lavfi", "-i", "sine=f=2000:d=6")
    maps = [word for n in range(4) for word in ("-map", str(n))]
    programmes = ("-program", "program_num=1:st=0:st=1", "-program", "program_num=2:st=2:st=3")
    path = tmp_path / "film.ts"
    oracle.ffmpeg(*small, *low, *large, *high, *maps, *CODED, *programmes, path)
    made = make(path, tmp_path)
    assert made.audio is not None
    sound, rate = soundfile.read(made.audio)
    tones_hz = np.fft.rfftfreq(len(sound), 1 / rate)
    assert tones_hz[np.abs(np.fft.rfft(sound)).argmax()] == pytest.approx(2000, abs=20)


@pytest.mark.parametrize("name", FORMATS)
def test_unfinished_copy_is_known_by_its_end(name: str, tmp_path: Path) -> None:
    """A whole container ends where it says; cut anywhere behind its header, it does not."""
    kind, options = FORMATS[name]
    data = film(tmp_path, name, *options).read_bytes()

    def is_whole(size_bytes: int) -> bool:
        return ends_regularly(kind, lambda at, n: data[:size_bytes][at : at + n], size_bytes)

    assert is_whole(len(data))
    assert not any(is_whole(len(data) * share // 100) for share in range(30, 100, 3))


@pytest.mark.parametrize(
    "write", [subtitle_that_outlasts_the_film, clock_that_starts_late], ids=lambda one: one.__name__
)
def test_unfinished_copy_is_captioned_for_what_is_there(
    write: Callable[[Path], Path], tmp_path: Path
) -> None:
    """Four fifths of a film are covered, however long its header says that the whole file is."""
    path = write(tmp_path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 4 // 5])
    facts = make(path, tmp_path).facts
    assert facts.damage.coverage == pytest.approx(0.8, abs=0.1)
    assert facts.frames - facts.damage.padded_frames == len(oracle.framemd5_fps1(path))


@pytest.mark.parametrize("ending", [".mkv", ".mp4"])
def test_pictures_that_begin_after_the_window_are_none(ending: str, tmp_path: Path) -> None:
    """Sound from the start and pictures from 70 s on: the first minute has no frame to caption."""
    picture = ("-itsoffset", "70", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=2")
    path = tmp_path / f"film{ending}"
    oracle.ffmpeg(
        "-f", "lavfi", "-i", "sine=d=75", *picture, "-map", "1", "-map", "0", *CODED, path
    )
    assert oracle.framemd5_fps1(path) == []
    with pytest.raises(MediaError) as caught:
        make(path, tmp_path)
    assert caught.value.code is FailureCode.NO_FRAMES


def test_unfinished_copy_keeps_its_code(tmp_path: Path) -> None:
    """Less than half of a film is a copy that did not come to its end."""
    path = film(tmp_path, "film.mkv")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(MediaError) as caught:
        make(path, tmp_path)
    assert caught.value.code is FailureCode.CUT_OFF
