"""The page as bytes: one file, closed to the network and to whatever a clip may say."""

import base64
import gzip
import hashlib
import re
import tracemalloc
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from captionfleet.errors import ConfigError, FailureCode, OutputError
from captionfleet.report.sheets import SheetLimits
from captionfleet.report.write import Made, write_report
from tests.support.run_folder import (
    ENDED,
    HOSTILE,
    STARTED,
    caption_record,
    failure_record,
    write_run_folder,
)

pytestmark = pytest.mark.anyio


class Elements(HTMLParser):
    """Every element of a page, with what stands in scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, str] = {}
        self.text = ""
        self._open = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.found.append((tag, dict(attrs)))
        self._open = f"{tag}{dict(attrs).get('id') or ''}" if tag in {"script", "style"} else ""

    def handle_data(self, data: str) -> None:
        """Keep it with the script or style around it."""
        if self._open:
            self.inside[self._open] = self.inside.get(self._open, "") + data
        else:
            self.text += data

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - theirs
        """Leave it."""
        self._open = ""


async def report(folder: Path, **choice: Any) -> tuple[str, Made]:
    """The page of an output folder whose media are nowhere."""
    with anyio.fail_after(60):
        made = await write_report(folder, store=folder / "no store", **choice)
    return await anyio.Path(made.path).read_text(), made


def texts_in(page: str) -> list[dict[str, Any]]:
    """The cards that the page has as text alone."""
    packed = orjson.loads(Elements(page).inside["scripttexts"])
    return [orjson.loads(line) for line in gzip.decompress(base64.b64decode(packed)).splitlines()]


async def hostile_page(tmp_path: Path) -> Elements:
    """The page of clips that are called, and say, all that is hostile."""
    captions = [
        caption_record(
            number,
            caption=text,
            source=text[:3000],
            deployment=text[:50],
            model=text[:50],
            finish_reason=text[:50],
            flags=[text[:30]],
            clip_id=text[:32],
        )
        for number, text in enumerate(HOSTILE.values())
    ]
    failures = [
        failure_record(number) | dict.fromkeys(("source", "detail", "code", "stage", "path"), text)
        for number, text in enumerate(HOSTILE.values(), 100)
    ]
    fleet = [{"name": text, "model": text, "errors": {text: 1}} for text in HOSTILE.values()]
    series = {text: {"captions": [1]} for text in HOSTILE.values()}
    prompt = {"media": {"sampling": "x"}, "request": {"prompt": HOSTILE["script"]}}
    run = {"started_at_utc": STARTED, "fleet": fleet, "error": HOSTILE["handler"]}
    timeline = {"started_at_utc": STARTED, "bucket_s": 1, "deployments": series}
    folder = tmp_path / "<b>run & "
    write_run_folder(folder, captions, failures, run=run | {"settings": prompt}, timeline=timeline)
    page, _ = await report(folder)
    return Elements(page)


async def test_nothing_hostile_is_markup(tmp_path: Path) -> None:
    """Names, captions, codes, details and settings add no element and no attribute to the page."""
    page = await hostile_page(tmp_path)

    assert [tag for tag, _ in page.found if tag in {"b", "img"} and tag == "img"] == []
    scripts = [attributes for tag, attributes in page.found if tag == "script"]
    assert [one for one in scripts if one.get("type") != "application/json"] == [{}]
    names = {name for _, attributes in page.found for name in attributes}
    assert not [name for name in names if name.startswith("on")]
    links = [attributes["href"] for _, attributes in page.found if attributes.get("href")]
    assert [link for link in links if link and not re.fullmatch(r"#[a-z0-9-]+|data:,", link)] == []
    assert HOSTILE["script"] in page.text


async def test_the_data_come_back_as_they_were(tmp_path: Path) -> None:
    """In the page's data every hostile caption is the very text that stands in the line."""
    page = await hostile_page(tmp_path)

    assert "<" not in page.inside["scriptdata"]
    cards = orjson.loads(page.inside["scriptdata"])["cards"]
    assert [card["caption"] for card in cards if "caption" in card] == list(HOSTILE.values())
    assert [card["detail"] for card in cards if "code" in card] == [
        text[:4096] for text in HOSTILE.values()
    ]


async def test_only_the_pages_own_script_and_style_may_run(tmp_path: Path) -> None:
    """The policy names the hashes of the one script and the one style, and no server at all."""
    page = await hostile_page(tmp_path)

    policies = [a["content"] or "" for t, a in page.found if t == "meta" and "http-equiv" in a]
    (policy,) = policies
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    for kind in ("script", "style"):
        digest = hashlib.sha256(page.inside[kind].encode()).digest()
        assert rules[f"{kind}-src"] == f"'sha256-{base64.b64encode(digest).decode()}'"
    assert {rules["img-src"], rules["media-src"]} == {"data:", "data: blob:"}
    assert not [a for _, a in page.found if "style" in a or "src" in a]
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page.inside["script"])


async def test_a_large_run_makes_a_bounded_page(tmp_path: Path) -> None:
    """Of 3,000 clips some are shown, with all that are flagged; the text of all is there."""
    captions = (
        caption_record(number, flags=["truncated"] if number % 100 == 0 else [])
        for number in range(3_000)
    )
    write_run_folder(tmp_path, captions, [failure_record(20_000)])

    page, made = await report(tmp_path)

    data = orjson.loads(Elements(page).inside["scriptdata"])
    flagged = [card for card in data["cards"] if card["flags"]]
    assert len(flagged) == 30
    with_facts = len(data["cards"])
    assert 300 <= with_facts - 31 <= 340
    assert (made.shown, made.clips) == (3_001, 3_001)
    assert f"{with_facts:,} clips of 3,001 with the frames" in page
    assert f"The text of {3_001 - with_facts:,} others is here as well" in page
    assert len(texts_in(page)) == 3_001 - with_facts
    assert made.size_bytes < 2_000_000


async def test_a_page_has_room_for_so_much_text(tmp_path: Path) -> None:
    """Once texts take too much, the page says how many clips are left out of it."""
    captions = (caption_record(number, caption=f"{number} " * 100) for number in range(100))
    write_run_folder(tmp_path, captions, [failure_record(number) for number in range(200, 600)])

    page, made = await report(tmp_path, sample=0, limits=SheetLimits(text_bytes=40_000))

    held = texts_in(page)
    assert {"code" in card for card in held} == {True, False}  # there is room for either
    assert made.shown == len(held) + len(orjson.loads(Elements(page).inside["scriptdata"])["cards"])
    assert f"{500 - made.shown:,} clips are left out to keep this page small" in page


async def test_a_failure_is_said_once(tmp_path: Path) -> None:
    """A detail that only repeats what its code means is left out; examples share theirs."""
    not_video = failure_record(1, "a.mp4", FailureCode.NOT_VIDEO)
    plain = not_video | {"detail": "not a video container that this program opens"}
    more = [
        failure_record(number, f"{number}.mp4", FailureCode.TIMEOUT) | {"detail": "after 300 s"}
        for number in (2, 3)
    ]
    page, _ = await report(write_run_folder(tmp_path / "out", [], [plain, *more]))

    shown = Elements(page)
    assert shown.text.count("container") == 1
    assert shown.text.count("after 300 s") == 1
    cards = orjson.loads(shown.inside["scriptdata"])["cards"]
    assert [card["detail"] for card in cards] == ["", "after 300 s", "after 300 s"]


async def test_each_request_shows_its_own_prompt(tmp_path: Path) -> None:
    """A run of several named requests says of each what it asked."""
    asked = [{"name": name, "prompt": f"Give {name}."} for name in ("short", "tags")]
    settings = {"media": {"fps": 1}, "request": asked[0], "requests": asked}
    write_run_folder(tmp_path, [caption_record()], run={"settings": settings})
    page = Elements((await write_report(tmp_path)).path.read_text())
    for name in ("short", "tags"):
        assert f"{name}: prompt" in page.text
        assert f"Give {name}." in page.text


async def test_few_values_have_no_high_percentile(tmp_path: Path) -> None:
    """Of seven clips the page shows half, most and mean; the longest is not called p99."""
    captions = [caption_record(number) for number in range(7)]
    run = {"started_at_utc": STARTED, "exit_code": 0, "ended": "complete", "planned": 7}
    page, _ = await report(write_run_folder(tmp_path / "out", captions, run=run))

    total = re.search(r'<tr class="sum">.*?</tr>', page, re.DOTALL)
    assert total
    cells = re.findall(r'<td class="n">(.*?)</td>', total[0])
    assert [cell == "\N{EN DASH}" for cell in cells] == [False, True, True, False, False]
    assert "finished: 7 of 7 clips captioned" in page


async def test_memory_depends_on_what_is_shown(tmp_path: Path) -> None:
    """Megabytes of captions that are not shown are never in memory together."""
    captions = (caption_record(number, caption="a" * 1_000_000) for number in range(100))
    write_run_folder(tmp_path, captions)

    tracemalloc.start()
    try:
        await report(tmp_path, sample=0)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak_bytes < 100_000_000 / 2


async def test_a_folder_without_a_finished_run_has_a_report(tmp_path: Path) -> None:
    """A run that goes on, or was killed, has captions and perhaps half a line, and no run.json."""
    write_run_folder(tmp_path, [caption_record()])
    with (tmp_path / "captions.jsonl").open("ab") as file:
        file.write(b'{"clip_id": "torn')

    page, made = await report(tmp_path)

    assert (made.shown, made.with_pictures) == (1, 0)
    assert "no run.json" in page


async def test_junk_in_the_folder_is_no_reason_to_fail(tmp_path: Path) -> None:
    """Files that hold something else give a report that says less."""
    write_run_folder(tmp_path, [caption_record(), {"a": 1}], [{"code": 5}, {"code": "new_code"}])
    (tmp_path / "run.json").write_bytes(
        b'{"fleet": [1, {"errors": 3, "window": [[]]}], "ended": 4}'
    )
    (tmp_path / "timeline.json").write_bytes(
        b'{"bucket_s": -1, "deployments": {"a": {"captions": [1]}}}'
    )

    page, made = await report(tmp_path)

    assert made.clips == 4
    assert "a code that this version does not know" in page


async def test_media_keys_are_no_paths(tmp_path: Path) -> None:
    """A line cannot have the report read a file outside the store."""
    keys = ["../../../etc/passwd", "/etc/passwd", "..", "ab/../../x", "\x00" * 8, 7, None]
    captions = [caption_record(n, media_key=key) for n, key in enumerate(keys)]
    write_run_folder(tmp_path, captions)

    page, made = await report(tmp_path)

    assert (made.shown, made.with_pictures) == (len(keys), 0)
    blocks = [text for name, text in Elements(page).inside.items() if "media-" in name]
    assert {orjson.loads(block)["missing"] for block in blocks} == {
        "the media are no longer in the store"
    }


async def test_what_is_no_output_folder_is_refused(tmp_path: Path) -> None:
    """The error names the folder; an unwritable place is an error of its own."""
    with pytest.raises(ConfigError, match=r"no captions\.jsonl"):
        await report(tmp_path)
    write_run_folder(tmp_path, [caption_record()])
    with pytest.raises(OutputError):
        await report(tmp_path, out=tmp_path / "missing" / "report.html")


async def test_no_time_for_pictures_is_told(tmp_path: Path) -> None:
    """A report that may take no time has no pictures, and each clip says why."""
    write_run_folder(tmp_path, [caption_record(media_key="ab" * 20)])

    page, made = await report(tmp_path, limits=SheetLimits(deadline_s=0))

    assert made.with_pictures == 0
    assert "took too long" in page


async def test_a_run_that_has_not_ended_is_told(tmp_path: Path) -> None:
    """Captions of a run that goes on, or was killed, are shown, and do not count as the last's."""
    captions = [
        caption_record(1),
        caption_record(2, completed_at_utc="2026-11-22T07:00:01.000Z"),
    ]
    run = {"started_at_utc": STARTED, "ended_at_utc": ENDED, "exit_code": 0, "planned": 1}
    folder = write_run_folder(tmp_path / "out", captions, run=run)
    holder = {"pid": 7, "host": "h", "since_utc": "2026-11-22T07:00:00.000Z"}
    (folder / ".lock-holder.json").write_bytes(orjson.dumps(holder))
    with (folder / "captions.jsonl").open("ab") as file:
        file.write(b'{"clip_id": "torn')

    page, made = await report(folder)

    assert "Another run began at 2026-11-22 07:00:00 UTC" in page
    assert "of 1 planned, 1 by other runs" in page
    assert "Lines that are not records: 1" in page
    assert made.shown == 2


async def test_a_run_without_captions_shows_no_empty_table(tmp_path: Path) -> None:
    """A run that had nothing to do says so instead of a table of dashes."""
    run = {"started_at_utc": "2026-11-23T06:00:00.000Z", "exit_code": 0}
    page, _ = await report(write_run_folder(tmp_path / "out", [caption_record(1)], run=run))

    assert "No captions in the last run." in page
    assert 'aria-label="Latency table"' not in page
