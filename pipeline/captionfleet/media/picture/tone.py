"""Builds filters that tone-map HDR pictures (PQ, HLG) to SDR BT.709; pure (worker process).

Each colour channel goes through one curve, in the manner of ITU-R BT.2390 section 5.4: light up to
a knee is unchanged, and brighter light is compressed so that highlights still differ. White is the
203 cd/m² of BT.2408, so that a sheet of paper looks as in an SDR film. swscale can tone-map too, at
three to five CPU-seconds a clip.
"""

__all__ = ["hdr_filters", "is_hdr"]

# As H.273 numbers them.
_PQ, _HLG = 16, 18
_BT2020, _UNSPECIFIED, _P3_D65 = 9, 2, 12

_WHITE_CD_M2 = 203.0
# Hardly anything is mastered brighter. A file's own peak is often a default, so it is not used: the
# same pixels always give the same picture.
_PEAK_CD_M2 = 4000.0
_HLG_DISPLAY_CD_M2, _HLG_GAMMA = 1000.0, 1.2  # BT.2100
_SDR_GAMMA = 2.4  # BT.1886

# SMPTE ST 2084.
_PQ_MAX_CD_M2 = 10_000.0
_M1, _M2 = 2610 / 16_384, 2523 / 32
_C1, _C2, _C3 = 3424 / 4096, 2413 / 128, 2392 / 128

# ARIB STD-B67, its inverse.
_HLG_A, _HLG_B, _HLG_C = 0.17883277, 0.28466892, 0.55991073

# Rows that make BT.709's linear red, green and blue of those of other primaries with white D65,
# from the chromaticities (SMPTE RP 177).
_FROM_BT2020 = (
    (1.660491, -0.587641, -0.072850),
    (-0.124550, 1.132900, -0.008349),
    (-0.018151, -0.100579, 1.118730),
)
_FROM_P3_D65 = ((1.22494, -0.22494, 0), (-0.042057, 1.042057, 0), (-0.019638, -0.078636, 1.098274))
_TO_BT709 = {_BT2020: _FROM_BT2020, _UNSPECIFIED: _FROM_BT2020, _P3_D65: _FROM_P3_D65}


def is_hdr(transfer: int) -> bool:
    """Whether these transfer characteristics (H.273) are HDR."""
    return transfer in {_PQ, _HLG}


def hdr_filters(transfer: int, primaries: int) -> tuple[str, ...]:
    """FFmpeg filters that make a scaled HDR picture limited-range BT.709; none if it is SDR.

    Args:
        transfer: transfer characteristics of the picture (H.273).
        primaries: its colour primaries (H.273).
    """
    if not is_hdr(transfer):
        return ()
    signal = _FROM_PQ if transfer == _PQ else _FROM_HLG
    to_light = (*signal, *_BEND, *_TO_LIGHT, "maxval*ld(0)")
    mixer = _mixer(_TO_BT709[primaries]) if primaries in _TO_BT709 else ()
    return (
        "format=pix_fmts=gbrp16le",
        _curve(*to_light),
        *mixer,
        _curve(f"maxval*pow(val/maxval,{1 / _SDR_GAMMA})"),
        "scale=out_color_matrix=bt709:out_range=tv",
        "setparams=color_primaries=bt709:color_trc=bt709",
    )


def _curve(*statements: str) -> str:
    expression = ";".join(statements)
    return "lutrgb=" + ":".join(f"{channel}='{expression}'" for channel in "rgb")


def _mixer(matrix: tuple[tuple[float, ...], ...]) -> tuple[str]:
    factors = (
        f"{made}{of}={factor}"
        for made, row in zip("rgb", matrix, strict=True)
        for of, factor in zip("rgb", row, strict=True)
    )
    return ("colorchannelmixer=" + ":".join(factors),)


def _pq(cd_m2: float) -> float:
    """The PQ signal for a luminance in cd/m²."""
    power = (cd_m2 / _PQ_MAX_CD_M2) ** _M1
    return float(((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2)


# The statements are FFmpeg expressions, evaluated once per level when the graph is built. They
# hand on what is in variable 0: signal, as PQ relative to the peak's; bent signal; light.
_PEAK, _WHITE = _pq(_PEAK_CD_M2), _pq(_WHITE_CD_M2) / _pq(_PEAK_CD_M2)
_KNEE = 1.5 * _WHITE - 0.5  # BT.2390

_FROM_PQ = (f"st(0,min(1,val/maxval/{_PEAK}))",)
_FROM_HLG = (
    "st(0,val/maxval)",
    f"st(0,if(lte(ld(0),0.5),ld(0)*ld(0)/3,(exp((ld(0)-{_HLG_C})/{_HLG_A})+{_HLG_B})/12))",
    f"st(0,{_HLG_DISPLAY_CD_M2 / _PQ_MAX_CD_M2}*pow(ld(0),{_HLG_GAMMA}))",
    f"st(0,pow(ld(0),{_M1}))",
    f"st(0,pow(({_C1}+{_C2}*ld(0))/(1+{_C3}*ld(0)),{_M2})/{_PEAK})",
)
_BEND = (
    f"st(1,(ld(0)-{_KNEE})/{1 - _KNEE})",
    "st(2,(2*ld(1)-3)*ld(1)*ld(1)+1)",
    f"st(2,ld(2)*{_KNEE}+((ld(1)-2)*ld(1)+1)*ld(1)*{1 - _KNEE}+(3-2*ld(1))*ld(1)*ld(1)*{_WHITE})",
    f"st(0,if(lt(ld(0),{_KNEE}),ld(0),ld(2)))",
)
_TO_LIGHT = (
    f"st(0,pow(ld(0)*{_PEAK},{1 / _M2}))",
    f"st(0,pow(max(0,ld(0)-{_C1})/({_C2}-{_C3}*ld(0)),{1 / _M1}))",
    f"st(0,{_PQ_MAX_CD_M2 / _WHITE_CD_M2}*ld(0))",
)
