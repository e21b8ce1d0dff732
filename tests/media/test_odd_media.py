"""Each odd file shows the fact it is named for, so that a test that uses it tests that."""

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from captionfleet.standin.films.film import read_barcode
from tests.support import oracle
from tests.support.odd_checks import (
    Check,
    b_frames_are_referenced,
    codec,
    combed,
    gaps_s,
    hdr,
    key_frames,
    lasts,
    layers_are_disposable,
    leading_frames,
    one_second_slots,
    packets_without_picture,
    rate,
    refused_by_guide_width,
    sizes_change,
    stored_square_shown_wide,
    superframes,
    turned,
    video,
)
from tests.support.odd_checks_damage import (
    cannot_be_opened,
    cut_short,
    frames_missing_without_error,
    gif_bomb,
    jpeg_bomb,
    names_another_file,
    no_streams,
    odd_name,
    packets_fail,
    reads_another_file,
)
from tests.support.odd_checks_tracks import (
    audio,
    audio_lasts,
    audio_without_packets,
    clock_wraps,
    first_audio_packet_before_zero,
    guess_goes_backwards,
    guess_is_a_frame_late,
    hidden_start,
    index_in_fragments,
    no_pts,
    picture_attached,
    second_track_is_default,
    second_track_is_larger,
    sounds_but_silent,
    starts,
    tracks,
)
from tests.support.odd_films import FILMS, FULL, HLG, PQ
from tests.support.odd_media import ODD, REFUSED

FACTS: dict[str, Check] = {
    "odd_scaled_width": refused_by_guide_width,
    "odd_scaled_portrait": refused_by_guide_width,
    "rotated_90": turned(90),
    "rotated_180": turned(-180),
    "rotated_270": turned(-90),
    "rotated_90_matroska": turned(90),
    "mirrored": turned(-180, mirrored=True),
    "mirrored_rotated_90": turned(90, mirrored=True),
    "anamorphic": stored_square_shown_wide,
    "interlaced_h264": combed,
    "interlaced_mpeg2": combed,
    "one_frame": lasts(1 / 30, 1),
    "lasts_0_2_s": one_second_slots(0),
    "lasts_0_4_s": one_second_slots(0),
    "lasts_0_6_s": one_second_slots(1),
    "lasts_1_4_s": one_second_slots(1),
    "odd_frame_count": one_second_slots(3),
    "longer_than_a_minute": lasts(62, 248),
    "fps_25": rate(Fraction(25)),
    "fps_23_976": rate(Fraction(24_000, 1001)),
    "fps_29_97": rate(Fraction(30_000, 1001)),
    "fps_59_94": rate(Fraction(60_000, 1001)),
    "fps_half": rate(Fraction(1, 2)),
    "vfr": gaps_s(0.02, 0.5),
    "vfr_matroska": gaps_s(0.02, 0.4),
    "vfr_long_gap": gaps_s(0.5, 4.5),
    "three_hour_gap": gaps_s(1, 10_800),
    "audio_starts_late": starts(0, 0.7),
    "audio_starts_late_ts": starts(0, 0.7),
    "video_starts_late": starts(0.7, 0),
    "audio_ends_early": audio_lasts(0.8),
    "audio_outlasts_video": audio_lasts(3.5),
    "edit_list": hidden_start,
    "negative_start": starts(-40, -40),
    "clock_wraps": clock_wraps,
    "big_start": starts(40_000, 40_000),
    "opus_preskip": first_audio_packet_before_zero,
    "avi_no_pts": guess_is_a_frame_late,
    "h264_avi_no_pts": guess_goes_backwards,
    "h264_elementary_stream": no_pts,
    "no_audio": tracks("video"),
    "audio_only": tracks("audio"),
    "two_audio_tracks": second_track_is_default,
    "audio_5_1": audio(rate_hz=48_000, layout="5.1"),
    "audio_8_khz": audio(rate_hz=8000, layout="mono"),
    "audio_silent": sounds_but_silent,
    "audio_empty_track": audio_without_packets,
    "audio_empty_track_fragmented": audio_without_packets,
    "fragmented": index_in_fragments,
    "h264_10_bit": video(name="h264", pix_fmt="yuv420p10le"),
    "h264_422": video(name="h264", pix_fmt="yuv422p"),
    "h264_444": video(name="h264", pix_fmt="yuv444p"),
    "full_range": video(color_range=FULL),
    "hevc_10_bit": video(name="hevc", pix_fmt="yuv420p10le"),
    "hdr_pq": hdr(PQ),
    "hdr_hlg": hdr(HLG),
    "infinite_gop": key_frames(1),
    "open_gop": leading_frames,
    "b_pyramid": b_frames_are_referenced,
    "hevc": codec("hevc", "IPB"),
    "hevc_open_gop": leading_frames,
    "hevc_temporal_layers": layers_are_disposable,
    "vp8": codec("vp8", "IP"),
    "vp8_alt_ref": packets_without_picture,
    "vp9": codec("vp9", "IP"),
    "vp9_alt_ref": superframes,
    "av1": codec("av1"),
    "mpeg2": codec("mpeg2video", "IPB"),
    "mpeg2_program_stream": codec("mpeg2video", "IPB"),
    "mpeg4_b_frames": codec("mpeg4", "IPB"),
    "mjpeg": codec("mjpeg", "I"),
    "prores": codec("prores", "I"),
    "wmv": codec("wmv2", "IP"),
    "flash": codec("flv1", "IP"),
    "h263_3gp": codec("h263", "IP"),
    "gif": codec("gif"),
    "resolution_change": sizes_change,
    "two_video_tracks": second_track_is_larger,
    "cover_art": picture_attached,
    "name_with_newline": odd_name("\n"),
    "name_not_utf8": odd_name("\udce9"),
    "truncated_fast_start": cut_short,
    "truncated_fragmented": frames_missing_without_error,
    "truncated_ts": frames_missing_without_error,
    "moov_missing": cannot_be_opened,
    "bytes_damaged": packets_fail,
    "bytes_damaged_ts": frames_missing_without_error,
    "bytes_damaged_matroska": frames_missing_without_error,
    "text_renamed": cannot_be_opened,
    "ffconcat_renamed": reads_another_file,
    "hls_renamed": names_another_file,
    "empty_file": cannot_be_opened,
    "zero_streams": no_streams,
    "zero_tracks_matroska": tracks("subtitle"),
    "bomb_gif": gif_bomb,
    "bomb_30000": jpeg_bomb,
}


def test_every_odd_file_has_its_fact() -> None:
    """No odd file goes unchecked, and no check without its file."""
    assert FACTS.keys() == ODD.keys()
    assert ODD.keys() >= REFUSED


@pytest.mark.parametrize("name", ODD)
def test_odd_file_shows_its_fact(odd_file: Callable[[str], Path], name: str) -> None:
    """The file is written, small, and is odd in the way it is named for."""
    path = odd_file(name)
    assert path.stat().st_size < 500_000
    FACTS[name](path)


@pytest.mark.parametrize("name", [name for name in FILMS if FILMS[name][1].codec])
def test_odd_film_keeps_its_numbers(odd_file: Callable[[str], Path], name: str) -> None:
    """Through every codec and container, the oracle reads frame numbers that only go up."""
    film = FILMS[name][1]
    numbers = [
        read_barcode(gray)
        for gray in oracle.gray_all(odd_file(name), film.width_px, film.height_px)
    ]
    first = 15 if name == "edit_list" else 0
    assert numbers == list(range(first, first + len(numbers)))
    assert (
        len(numbers) == math.ceil(film.seconds * film.fps - 1e-6) - first or film.frame_durations_s
    )
