"""The page in a real browser: it opens without a complaint, and the gallery does what it says."""

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from captionfleet.report.sheets import SheetLimits
from captionfleet.report.write import write_report
from tests.report.conftest import FILMS, Finished
from tests.support.browser import Browser
from tests.support.run_folder import HOSTILE, caption_record, failure_record, write_run_folder

pytestmark = pytest.mark.timeout(300)

DESKTOP_PX, PHONE_PX = 1280, 390
ALL = "while (!document.getElementById('more').hidden) document.getElementById('more').click()"
FILLED = "return document.querySelectorAll('#cards article').length"
SHOWN = "return document.querySelectorAll('#cards > li:not(.film)').length"
# Through the whole gallery, in the page itself: to ask for each step from here takes longer.
WALKED = """
    const item = number => document.querySelectorAll('#cards > li:not(.film)')[number];
    return (async () => {
        let number = 0;
        for (; item(number); number++) {
            item(number).scrollIntoView();
            while (item(number).firstChild == null) await new Promise(requestAnimationFrame);
        }
        return number;
    })()
"""
COUNT = "return document.getElementById('count').textContent"


def made(folder: Path, **choice: Any) -> Path:
    """The page of an output folder."""
    return anyio.run(partial(write_report, folder, **choice)).path


@pytest.fixture(scope="module")
def page(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real run's clips, saying and being called all that is hostile, and more that failed."""
    folder = tmp_path_factory.mktemp("hostile") / "captions"
    shutil.copytree(finished.output.folder, folder)
    texts = list(HOSTILE.values())
    captions = [
        line | {"caption": text, "clip_id": f"{number:032x}"}
        for number, text in enumerate(texts)
        for line in [finished.output.captions[number % FILMS]]
    ]
    captions[0]["flags"] = ["truncated", HOSTILE["handler"]]
    failures = [failure_record(n, name=text[:200]) for n, text in enumerate(texts, 50)]
    write_run_folder(folder, [*finished.output.captions, *captions], failures)
    return made(folder)


@pytest.mark.parametrize("width_px", [DESKTOP_PX, PHONE_PX])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_clean(browser: Browser, page: Path, width_px: int, scheme: str) -> None:
    """No error in the console, no script of a clip, no sideways scrolling, at both widths."""
    browser.scheme(scheme)
    browser.open(page, width_px=width_px)
    browser.run(ALL)
    browser.wait("return document.querySelector('.sheet img')?.naturalWidth > 0")
    assert browser.run(WALKED) == browser.run(SHOWN) > FILMS
    browser.run("window.scrollTo(0, document.body.scrollHeight)")

    assert browser.problems() == []
    assert browser.run("return window.broken ?? null") is None
    assert browser.run("return document.documentElement.scrollWidth") == width_px
    assert browser.run("return document.querySelectorAll('#cards b, #cards script').length") == 0


def test_a_hostile_caption_is_read_as_it_is(browser: Browser, page: Path) -> None:
    """Each caption stands in its card as text, the long one whole once it is asked for."""
    browser.open(page)
    for number, text in enumerate(HOSTILE.values()):
        browser.run("location.hash = arguments[0]", f"clip-{number:032x}")
        # The page draws its cards again for the address: a card from before may go at any moment.
        browser.wait(
            "const card = document.getElementById(arguments[0]);"
            "const shown = () => card?.querySelector('.caption')?.textContent === arguments[1];"
            "if (!shown()) card?.querySelector('.more')?.click();"
            "return shown();",
            f"clip-{number:032x}",
            text,
        )
    assert browser.run("return window.broken ?? null") is None
    assert browser.problems() == []


def test_the_gallery_is_searched_and_filtered(browser: Browser, page: Path) -> None:
    """Text, flag and code each narrow the gallery; the count says to how many."""
    clips = FILMS + 2 * len(HOSTILE)
    browser.open(page)
    assert browser.run(COUNT) == f"{clips} of {clips}"

    def choose(name: str, value: str) -> str:
        browser.run(
            "const one = document.getElementById(arguments[0]); one.value = arguments[1];"
            "one.dispatchEvent(new Event(one.tagName === 'INPUT' ? 'input' : 'change'))",
            name,
            value,
        )
        return value

    choose("search", "QUOTED here")
    browser.wait(f"return (() => {{ {COUNT} }})() === arguments[0]", f"2 of {clips}")
    choose("flag", "captioned")
    assert browser.run(COUNT) == f"1 of {clips}"
    choose("search", "nothing says this")
    browser.wait(f"return (() => {{ {COUNT} }})() === arguments[0]", f"0 of {clips}")
    assert browser.run("return document.getElementById('cards').textContent") == (
        "No clip is like that."
    )
    choose("search", "")
    choose("flag", "flag: truncated")
    browser.wait(f"return (() => {{ {COUNT} }})() === arguments[0]", f"1 of {clips}")
    choose("flag", "all")
    choose("code", "timeout")
    assert browser.run(COUNT) == f"{len(HOSTILE)} of {clips}"
    choose("code", "")
    choose("order", "long")
    first = "document.querySelector('#cards > li').textContent"
    browser.wait(f"return {first}.includes('aaaa')")
    assert browser.problems() == []


def test_the_sound_plays(browser: Browser, page: Path) -> None:
    """The button plays the sound that was sent: the clock runs to its end."""
    browser.open(page)
    browser.run(
        "const kind = document.getElementById('flag'); kind.value = 'with sound';"
        "kind.dispatchEvent(new Event('change'))"
    )
    browser.wait("return document.querySelector('.play:enabled') != null")
    browser.click(".play:enabled")
    clock = "document.querySelector('.play:enabled').closest('.sound').querySelector('.clock')"
    browser.wait(f"return /^0:0[1-9] [/]/.test({clock}.textContent)")
    assert browser.problems() == []


def test_no_other_script_can_run(browser: Browser, page: Path) -> None:
    """What would be a way in, were markup ever to come through, the page's policy refuses."""
    browser.open(page)
    append = "const add = (tag, rest) =>"
    append += " document.body.append(Object.assign(document.createElement(tag), rest));"
    attempts = (
        "document.body.innerHTML = '<img src=x onerror=\"window.broken = 1\">'",
        "document.body.setAttribute('onclick', 'window.broken = 2'); document.body.click()",
        append + "add('script', {textContent: 'window.broken = 3'})",
        append + "add('script', {src: 'data:text/javascript,window.broken=4'})",
        append + "add('a', {href: 'javascript:window.broken=5', id: 'trap'}); trap.click()",
    )
    for attempt in attempts:
        browser.run(f"try {{ {attempt} }} catch {{}}")
    browser.wait("return new Promise(done => setTimeout(() => done(true), 50))")

    assert browser.run("return window.broken ?? null") is None
    assert len(browser.problems()) >= len(attempts) - 1


def test_captions_come_first(browser: Browser, page: Path) -> None:
    """The first rows stand above the figures; a click shows more, and a link a clip far below."""
    browser.open(page)
    browser.wait(f"{FILLED} > 0")
    order = "return [...document.querySelectorAll('main h2')].map(title => title.textContent)"
    assert browser.run(order)[:3] == ["Captions", "Figures", "Over time"]
    assert browser.run(SHOWN) == 6
    browser.click("#more")
    assert browser.run(SHOWN) == FILMS + 2 * len(HOSTILE)
    assert browser.problems() == []


def test_a_film_stands_together(browser: Browser, tmp_path: Path) -> None:
    """Windows follow their film's name in their order; a clip that was cut says at what."""
    media = caption_record()["media"] | {"source_s": 95.0}
    windows = [
        caption_record(number, "long.mp4", start_s=at, end_s=at + 60.0, media=media)
        for number, at in ((1, 60.0), (3, 0.0))
    ]
    cut = caption_record(2, "cut.mp4", end_s=60.0, media=media, flags=["cut_to_window"])
    windows[1]["flags"] = ["cut_to_window"]  # the first window was captioned when it was alone
    write_run_folder(tmp_path, [windows[0], cut, windows[1]])

    browser.open(made(tmp_path, store=tmp_path / "none"))
    browser.wait(f"{FILLED} === 3")

    titles = browser.run(
        "return [...document.querySelectorAll('#cards h3')].map(t => t.textContent)"
    )
    assert titles == ["long.mp4", "0:00–1:00", "1:00–2:00", "cut.mp4"]  # noqa: RUF001 - a range
    cuts = browser.run("return [...document.querySelectorAll('.is-cut')].map(t => t.textContent)")
    assert cuts == ["", "cut: 0:00–1:00 of 1:35"]  # noqa: RUF001 - a range


def test_captions_of_one_clip_stand_together(browser: Browser, tmp_path: Path) -> None:
    """Each says which request it answers, has a link of its own, and is found by that name."""
    lines = [
        caption_record(number, f"{number}.mp4", request=name, caption=f"{name} of {number}")
        for name in ("short", "tags")
        for number in (1, 2)
    ]
    write_run_folder(tmp_path, lines)

    browser.open(made(tmp_path, store=tmp_path / "none"))
    browser.wait(f"{FILLED} === 4")

    said = "return [...document.querySelectorAll('#cards .film .soft:not(.path)')]"
    said += ".map(t => t.textContent)"
    assert browser.run(said) == ["2 captions of one clip, 5:12 long"] * 2
    captions = "return [...document.querySelectorAll('#cards .caption')].map(t => t.textContent)"
    assert browser.run(captions) == ["short of 1", "tags of 1", "short of 2", "tags of 2"]
    links = "return [...document.querySelectorAll('#cards article h3 a')].map(a => a.hash)"
    assert len(set(browser.run(links))) == 4
    browser.run("location.hash = document.querySelectorAll('#cards article h3 a')[1].hash")
    sought = "const one = document.querySelector('.is-sought .caption'); return one?.textContent"
    assert browser.wait(sought) == "tags of 1"
    assert browser.problems() == []


def test_a_caption_and_a_path_are_copied(browser: Browser, page: Path) -> None:
    """The button puts the very text on the clipboard, also where the page may not ask for it."""
    browser.open(page)
    browser.run(
        "window.copied = []; navigator.clipboard.writeText = async text => { copied.push(text); };"
    )
    browser.wait(f"{FILLED} > 0")
    browser.click("#cards .acts .copy")
    browser.click("#cards .path .copy")
    assert browser.wait("return copied.length === 2 ? copied : null") == [
        browser.run("return document.querySelector('#cards .caption').textContent"),
        browser.run("return document.querySelector('#cards .path bdi').textContent"),
    ]
    browser.run("navigator.clipboard.writeText = () => Promise.reject();")
    browser.click("#cards .acts .copy")
    browser.wait("return document.querySelector('#cards .copy').textContent === 'copied'")
    assert browser.problems() == []


def test_ten_thousand_clips_open(browser: Browser, tmp_path: Path) -> None:
    """Of 10,000 clips only the first rows are made, and the text of every one is searched."""
    first = caption_record()

    def record(number: int) -> dict[str, Any]:
        name = f"holiday/clip {number:05}.mp4"
        caption = {"caption": f"{HOSTILE['script']} scene {number}"} if number % 7 == 0 else {}
        return first | {"clip_id": f"{number:032x}", "source": name, "path": f"/v/{name}"} | caption

    write_run_folder(tmp_path, map(record, range(10_000)), [failure_record(20_000)])
    limits = SheetLimits(deadline_s=0)
    large = made(tmp_path, store=tmp_path / "none", limits=limits)
    assert large.stat().st_size < 2_000_000

    browser.open(large)

    browser.wait(f"return (() => {{ {COUNT} }})() === '10,001 of 10,001'")
    assert browser.run(SHOWN) == 6
    for number in (9_996, 4_200):  # whichever of them has no pictures
        browser.run(
            "const search = document.getElementById('search'); search.value = arguments[0];"
            "search.dispatchEvent(new Event('input'));",
            f"scene {number}",
        )
        browser.wait(
            "const shown = [...document.querySelectorAll('#cards > li')];"
            "return shown.length === 1"
            " && shown[0].querySelector('.caption')?.textContent === arguments[0]",
            f"{HOSTILE['script']} scene {number}",
        )
        assert browser.run(COUNT) == "1 of 10,001"
    browser.run("location.hash = arguments[0]", f"clip-{9_999:032x}")
    browser.wait(
        "return document.getElementById(arguments[0])?.textContent.includes('clip 09999')",
        f"clip-{9_999:032x}",
    )
    assert browser.run(FILLED) < 200
    assert browser.run("return window.broken ?? null") is None
    assert browser.problems() == []


def test_the_page_reads_without_scripts(page: Path) -> None:
    """Everything but the captions stands in the page as such."""
    text = page.read_text()
    before = text[: text.index('<script type="application/json" id="data">')]
    for heading in ("Over time", "Latency", "Tokens", "Failures", "Slowest clips", "Deployments"):
        assert f">{heading}</h2>" in before
    assert "<noscript>" in before
