"""Odd media that a `Film` can describe: name → ending and film."""

import math
from dataclasses import replace
from fractions import Fraction

from captionfleet.standin.films.film import Film, Look, Sound

SOUND = Sound()
SMALL = Film(seconds=2.0, width_px=160, height_px=96, sounds=(SOUND,))
MUTE = replace(SMALL, sounds=())
NTSC = Fraction(30_000, 1001)
TS_WRAP_S = 2**33 / 90_000  # an MPEG-TS clock starts again at zero after 26.5 hours

# As H.273 numbers them.
BT2020, PQ, HLG, LIMITED, FULL = 9, 16, 18, 1, 2


def _at(start_s: float, seconds: float = 2.0) -> Film:
    sound = Sound(start_s=start_s, seconds=seconds)
    return replace(SMALL, seconds=seconds, start_s=start_s, sounds=(sound,))


def _coded(codec: str, pix_fmt: str = "yuv420p", audio: str = "aac", **settings: object) -> Film:
    film = replace(SMALL, codec=codec, pix_fmt=pix_fmt, sounds=(Sound(codec=audio),))
    return replace(film, **settings)  # type: ignore[arg-type]


def _hdr(transfer: int) -> Film:
    colours = {"color_primaries": BT2020, "color_trc": transfer, "colorspace": BT2020}
    film = _coded("libx265", "yuv420p10le")
    return replace(film, context_settings={**colours, "color_range": LIMITED})


SIZE_AND_SHAPE = {
    "odd_scaled_width": (".mp4", replace(MUTE, seconds=1.0, width_px=854, height_px=480)),
    "odd_scaled_portrait": (".mp4", replace(MUTE, seconds=1.0, width_px=270, height_px=480)),
    "rotated_90": (".mp4", replace(SMALL, rotation_deg=90)),
    "rotated_180": (".mp4", replace(SMALL, rotation_deg=180)),
    "rotated_270": (".mov", replace(SMALL, rotation_deg=270)),
    "rotated_90_matroska": (".mkv", replace(SMALL, rotation_deg=90)),
    "mirrored": (".mp4", replace(SMALL, mirrored=True)),
    "mirrored_rotated_90": (".mp4", replace(SMALL, mirrored=True, rotation_deg=90)),
    "anamorphic": (
        ".mp4",
        replace(SMALL, width_px=180, height_px=144, sample_aspect=Fraction(64, 45)),
    ),
    "interlaced_h264": (".mp4", replace(SMALL, interlaced=True, look=Look(first_scene=2))),
    "interlaced_mpeg2": (
        ".ts",
        _coded("mpeg2video", audio="mp2", interlaced=True, look=Look(first_scene=2)),
    ),
}

LENGTH_AND_RATE = {
    "one_frame": (".mp4", replace(MUTE, seconds=0.03)),
    "lasts_0_2_s": (".mp4", replace(SMALL, seconds=0.2)),
    "lasts_0_4_s": (".mp4", replace(SMALL, seconds=0.4)),
    "lasts_0_6_s": (".mp4", replace(SMALL, seconds=0.6)),
    "lasts_1_4_s": (".mp4", replace(SMALL, seconds=1.4)),
    "odd_frame_count": (".mp4", replace(SMALL, seconds=3.0, fps=Fraction(25))),
    "longer_than_a_minute": (
        ".mp4",
        replace(SMALL, seconds=62.0, fps=Fraction(4), sounds=(Sound(codec="libopus"),)),
    ),
    "fps_25": (".mp4", replace(SMALL, fps=Fraction(25))),
    "fps_23_976": (".mp4", replace(SMALL, fps=Fraction(24_000, 1001))),
    "fps_29_97": (".mp4", replace(SMALL, fps=NTSC)),
    "fps_59_94": (".mp4", replace(SMALL, fps=Fraction(60_000, 1001))),
    "fps_half": (".mp4", replace(SMALL, seconds=6.0, fps=Fraction(1, 2))),
    "vfr": (".mp4", replace(SMALL, seconds=4.0, frame_durations_s=(0.02, 0.1, 0.033, 0.5))),
    "vfr_matroska": (".mkv", replace(SMALL, seconds=4.0, frame_durations_s=(0.02, 0.1, 0.4))),
    "vfr_long_gap": (".mp4", replace(MUTE, seconds=8.0, frame_durations_s=(0.5, 0.5, 4.5))),
    "three_hour_gap": (".mp4", replace(MUTE, seconds=10_803.0, frame_durations_s=(1.0, 10_800.0))),
}

CLOCKS = {
    "audio_starts_late": (".mp4", replace(SMALL, sounds=(Sound("ticks", start_s=0.7),))),
    "audio_starts_late_ts": (".ts", replace(SMALL, sounds=(Sound("ticks", start_s=0.7),))),
    "video_starts_late": (".mp4", replace(SMALL, start_s=0.7, sounds=(Sound("ticks"),))),
    "audio_ends_early": (".mp4", replace(SMALL, sounds=(Sound(seconds=0.8),))),
    "audio_outlasts_video": (".mp4", replace(SMALL, sounds=(Sound(seconds=3.5),))),
    "edit_list": (
        ".mp4",
        replace(SMALL, start_s=-0.5, container_options={"avoid_negative_ts": "disabled"}),
    ),
    "negative_start": (".ts", _at(TS_WRAP_S - 40)),
    "clock_wraps": (".ts", _at(TS_WRAP_S - 1)),
    "big_start": (".ts", _at(40_000)),
    "opus_preskip": (".webm", _coded("libvpx-vp9", audio="libopus")),
    "avi_no_pts": (".avi", _coded("mpeg4", audio="libmp3lame", b_frames=2)),
    "h264_avi_no_pts": (".avi", _coded("libx264", audio="libmp3lame", b_frames=2)),
    "h264_elementary_stream": (".h264", replace(MUTE, b_frames=2)),
}

TRACKS = {
    "no_audio": (".mp4", MUTE),
    "audio_only": (".mp4", replace(SMALL, codec=None)),
    "two_audio_tracks": (
        ".mp4",
        replace(SMALL, sounds=(Sound("silence", default=False), Sound("tone"))),
    ),
    "audio_5_1": (".mp4", replace(SMALL, sounds=(Sound(layout="5.1", bit_rate=192_000),))),
    "audio_8_khz": (".mov", replace(SMALL, sounds=(Sound("speech", 8000, "mono", "pcm_mulaw"),))),
    "audio_silent": (".mp4", replace(SMALL, sounds=(Sound("silence"),))),
    "audio_empty_track": (".mkv", replace(SMALL, sounds=(Sound(seconds=0),))),
    "audio_empty_track_fragmented": (
        ".mp4",
        replace(
            SMALL,
            sounds=(Sound(seconds=0),),
            container_options={"movflags": "frag_keyframe+empty_moov"},
        ),
    ),
    "fragmented": (
        ".mp4",
        replace(SMALL, container_options={"movflags": "frag_keyframe+empty_moov"}, gop_s=0.5),
    ),
}

PIXELS = {
    "h264_10_bit": (".mp4", _coded("libx264", "yuv420p10le")),
    "h264_422": (".mp4", _coded("libx264", "yuv422p")),
    "h264_444": (".mp4", _coded("libx264", "yuv444p")),
    "full_range": (".mp4", replace(SMALL, context_settings={"color_range": FULL})),
    "hevc_10_bit": (".mp4", _coded("libx265", "yuv420p10le")),
    "hdr_pq": (".mp4", _hdr(PQ)),
    "hdr_hlg": (".mp4", _hdr(HLG)),
}

X265 = "log-level=none"
CODECS = {
    "infinite_gop": (".mp4", replace(SMALL, seconds=4.0, gop_s=math.inf, b_frames=3)),
    "open_gop": (
        ".mp4",
        replace(SMALL, gop_s=0.5, b_frames=3, codec_options={"x264-params": "open-gop=1"}),
    ),
    "b_pyramid": (
        ".mp4",
        replace(SMALL, b_frames=3, codec_options={"x264-params": "b-pyramid=normal:b-adapt=0"}),
    ),
    "hevc": (".mp4", _coded("libx265", b_frames=3)),
    "hevc_open_gop": (
        ".mp4",
        _coded(
            "libx265", gop_s=0.5, b_frames=3, codec_options={"x265-params": f"{X265}:open-gop=1"}
        ),
    ),
    "hevc_temporal_layers": (
        ".mp4",
        _coded("libx265", b_frames=3, codec_options={"x265-params": f"{X265}:temporal-layers=3"}),
    ),
    "vp8": (".webm", _coded("libvpx", audio="libopus")),
    "vp9": (".webm", _coded("libvpx-vp9", audio="libopus")),
    "av1": (".mp4", _coded("libsvtav1")),
    "mpeg2": (".ts", _coded("mpeg2video", audio="mp2", b_frames=2, gop_s=0.5)),
    "mpeg2_program_stream": (".mpg", _coded("mpeg2video", audio="mp2", b_frames=2, gop_s=0.5)),
    "mpeg4_b_frames": (".mp4", _coded("mpeg4", b_frames=2, gop_s=0.5)),
    "mjpeg": (".avi", _coded("mjpeg", "yuvj420p", audio="pcm_s16le")),
    "prores": (".mov", _coded("prores_ks", "yuv422p10le", audio="pcm_s16le", seconds=1.0)),
    "wmv": (".wmv", _coded("wmv2", audio="wmav2")),
    "flash": (
        ".flv",
        replace(SMALL, codec="flv", sounds=(Sound(codec="libmp3lame", sample_rate_hz=44_100),)),
    ),
    "h263_3gp": (
        ".3gp",
        replace(SMALL, width_px=176, height_px=144, codec="h263"),
    ),
    "gif": (".gif", replace(MUTE, codec="gif", pix_fmt="rgb8", fps=Fraction(10))),
}

# A minute that no encoder can make small: over 10 MB as base64 at the guide's settings. Not in the
# registry, for the 25 MB and the seconds it takes.
HEAVY_MINUTE = Film(
    seconds=62.0, width_px=860, fps=Fraction(2), gop_s=10.0,
    look=Look(grain=120), codec_options={"crf": "18"}, sounds=(SOUND,),
)  # fmt: skip

FILMS: dict[str, tuple[str, Film]] = {
    **SIZE_AND_SHAPE, **LENGTH_AND_RATE, **CLOCKS, **TRACKS, **PIXELS, **CODECS,
}  # fmt: skip
