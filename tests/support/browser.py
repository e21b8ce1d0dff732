"""A headless Chromium that opens files, and remembers what went wrong on the page."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --mute-audio "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--disable-dev-shm-usage --hide-scrollbars --force-device-scale-factor=1"
)
_PROGRAMS = (("chromium", "chromium-browser", "google-chrome"), ("chromedriver",))
NEEDED = "CAPTIONFLEET_NEEDS_BROWSER"


class Browser:
    """One page at a time."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, page: Path, *, width_px: int = 1280, height_px: int = 900) -> None:
        """Load a page in a window of this size, as a phone where it is narrow."""
        self._emulate(width_px, height_px)
        self.problems()  # of the page before
        self.driver.get(page.as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns; `arguments` are its `arguments`."""
        return self.driver.execute_script(script, *arguments)

    def wait(self, script: str, *arguments: Any, seconds: float = 30) -> Any:
        """Wait until a script returns something that counts as true."""
        return WebDriverWait(self.driver, seconds, poll_frequency=0.05).until(
            lambda _: self.run(script, *arguments)
        )

    def click(self, selector: str) -> None:
        """Click as a person does: a page may play sound only then."""
        self.driver.find_element(By.CSS_SELECTOR, selector).click()

    def problems(self) -> list[str]:
        """What the console has complained about since this was asked last."""
        return [f"{entry['level']}: {entry['message']}" for entry in self.driver.get_log("browser")]

    def scheme(self, name: str) -> None:
        """Prefer light or dark."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def _emulate(self, width_px: int, height_px: int) -> None:
        metrics = {
            "width": width_px,
            "height": height_px,
            "deviceScaleFactor": 1,
            "mobile": width_px < 600,
        }
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


@contextmanager
def browsing(profile: Path) -> Iterator[Browser]:
    """Start a browser with an empty profile; skip the test where none is installed.

    Where CAPTIONFLEET_NEEDS_BROWSER is set there must be one.
    """
    found = [next(filter(None, map(shutil.which, names)), None) for names in _PROGRAMS]
    if None in found:
        reason = "no chromium and chromedriver on this machine"
        if os.environ.get(NEEDED):
            pytest.fail(f"{reason}, and {NEEDED} is set")
        pytest.skip(reason)
    options = Options()
    options.binary_location = str(found[0])
    for flag in [*_FLAGS.split(), f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(str(found[1])))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
