"""HDR films are tone-mapped: white stays bright, highlights and shadows keep their steps."""

import itertools
from pathlib import Path

import av
import numpy as np
import pytest

from captionfleet.media.picture.tone import hdr_filters, is_hdr
from tests.support.hdr import columns, write_chart
from tests.support.made import make
from tests.support.odd_films import BT2020, HLG, PQ

GRAYS_CD_M2 = (0.0, 0.1, 0.5, 1, 5, 18, 50, 100, 203, 400, 600, 800, 1000, 2000, 4000, 10_000)
BRIGHT_IN_HLG_CD_M2 = 1000


Luma = dict[float, int]


def luma_of_grays(folder: Path, transfer: int) -> Luma:
    chart = write_chart(folder / "chart.mp4", transfer, [(gray,) * 3 for gray in GRAYS_CD_M2])
    luma = make(chart, folder).luma()[0]
    return dict(zip(GRAYS_CD_M2, columns(luma, len(GRAYS_CD_M2)), strict=True))


@pytest.fixture(scope="module", params=[PQ, HLG], ids=["PQ", "HLG"])
def luma(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Luma:
    """The luma that is made of each gray, given in cd/m²."""
    return luma_of_grays(tmp_path_factory.mktemp("chart"), request.param)


def test_every_step_of_light_remains_a_step(luma: Luma) -> None:
    """From 0 to 1000 cd/m² each step is brighter than the last, and black stays black."""
    shown = [luma[gray] for gray in GRAYS_CD_M2 if gray <= BRIGHT_IN_HLG_CD_M2]
    assert all(b - a >= 2 for a, b in itertools.pairwise(shown))
    assert shown[0] == 16


def test_white_is_bright_and_shadows_are_not_crushed(luma: Luma) -> None:
    """100 cd/m² is bright, paper white brighter; 1 cd/m² is well above black."""
    assert 160 <= luma[100] <= 185
    assert 190 <= luma[203] <= 215
    assert 90 <= luma[18] <= 110
    assert luma[1] >= 36


def test_highlights_do_not_burn_out(tmp_path: Path) -> None:
    """In PQ what is mastered at 1000 and 2000 cd/m² is still told from white, 10,000 is white."""
    luma = luma_of_grays(tmp_path, PQ)
    assert luma[600] + 4 <= luma[1000] < luma[2000] <= luma[10_000] == 235


def test_colours_keep_their_hue(tmp_path: Path) -> None:
    """BT.709 colours at 50 cd/m², carried in BT.2020, are those colours again, and say so."""
    colours = np.array([(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0.6, 0.35, 0.25)])
    chart = write_chart(tmp_path / "chart.mp4", PQ, (50 * colours).tolist())
    with av.open(make(chart, tmp_path).video) as container:
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_primaries, frame.color_trc) == (1, 1, 1)
        shown = frame.to_ndarray(format="rgb24")[180, 64::128] / 255
    assert shown**2.4 * 203 / 50 == pytest.approx(colours, abs=0.07)


def test_labels_may_be_missing() -> None:
    """PQ without primaries is taken for BT.2020, which it nearly always is."""
    assert hdr_filters(PQ, 2) == hdr_filters(PQ, BT2020)


@pytest.mark.parametrize("transfer", range(20))
def test_sdr_is_left_alone(transfer: int) -> None:
    """Only PQ and HLG are regraded."""
    assert bool(hdr_filters(transfer, BT2020)) == is_hdr(transfer) == (transfer in {PQ, HLG})
