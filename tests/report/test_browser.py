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
FILLED = "return document.querySelectorAll('#cards article').length"
SHOWN = "return [...document.querySelectorAll('#cards > li')].length"
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
    browser.run("document.getElementById('gallery').scrollIntoView()")
    browser.wait("return document.querySelector('.sheet img')?.naturalWidth > 0")
    for _ in range(30):  # through the whole gallery
        browser.run("window.scrollBy(0, 700)")
        browser.wait(f"{FILLED} > 0")

    assert browser.problems() == []
    assert browser.run("return window.broken ?? null") is None
    assert browser.run("return document.documentElement.scrollWidth") == width_px
    assert browser.run("return document.querySelectorAll('#cards b, #cards script').length") == 0


def test_a_hostile_caption_is_read_as_it_is(browser: Browser, page: Path) -> None:
    """Each caption stands in its card as text, the long one whole once it is asked for."""
    browser.open(page)
    for number, text in enumerate(HOSTILE.values()):
        browser.run("location.hash = arguments[0]", f"clip-{number:032x}")
        item = "document.getElementById(arguments[0])"
        browser.wait(f"return {item}?.querySelector('.caption') != null", f"clip-{number:032x}")
        more = f"{item}.querySelector('.caption + .plain')?.click()"
        browser.run(more, f"clip-{number:032x}")
        shown = browser.run(
            f"return {item}.querySelector('.caption').textContent === arguments[1]",
            f"clip-{number:032x}",
            text,
        )
        assert shown, number
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
    browser.run("document.getElementById('gallery').scrollIntoView()")
    browser.wait(f"{FILLED} > 0")
    longest = browser.run("return document.querySelector('#cards .caption').textContent")
    assert longest.startswith("aaaa")
    assert browser.problems() == []


def test_the_sound_plays(browser: Browser, page: Path) -> None:
    """The button plays the sound that was sent: the clock runs to its end."""
    browser.open(page)
    browser.run("document.getElementById('gallery').scrollIntoView()")
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


def test_ten_thousand_clips_open(browser: Browser, tmp_path: Path) -> None:
    """With 10,000 clips only those near the screen are made, and the last one is found."""
    captions = (caption_record(n, f"holiday/clip {n:05}.mp4") for n in range(10_000))
    write_run_folder(tmp_path, captions)
    limits = SheetLimits(deadline_s=0)
    large = made(tmp_path, sample=10_000, store=tmp_path / "none", limits=limits)

    browser.open(large)

    assert browser.run(COUNT) == "10,000 of 10,000"
    assert browser.run(SHOWN) == 10_000
    assert browser.run(FILLED) < 100
    browser.run("location.hash = arguments[0]", f"clip-{9_999:032x}")
    browser.wait(
        "return document.getElementById(arguments[0]).textContent.includes('clip 09999')",
        f"clip-{9_999:032x}",
    )
    assert browser.run(FILLED) < 200
    assert browser.problems() == []


def test_the_page_reads_without_scripts(page: Path) -> None:
    """Everything but the gallery stands in the page as such."""
    text = page.read_text()
    before = text[: text.index('<script type="application/json" id="data">')]
    for heading in ("Over time", "Latency", "Tokens", "Failures", "Slowest clips", "Deployments"):
        assert f">{heading}</h2>" in before
    assert "<noscript>" in before
