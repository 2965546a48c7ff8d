"""The pages in a real browser, without a screen: searching, dropping a picture, reading panel by panel, a telephone."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra `serve` is not installed")
pytest.importorskip("selenium", reason="selenium is not installed")

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from comictool.core.jobs import JobOptions
from comictool.corpus.corpus import Corpus
from comictool.drawn.corpus import draw_corpus
from comictool.plugins.load import EncoderSpec
from tests.vectors.fakes import embed_corpus

CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
needs_browser = CHROMIUM is None or DRIVER is None
pytestmark = pytest.mark.skipif(needs_browser, reason="chromium and chromedriver are not installed")
WAIT = 10.0  # seconds
DROP = """
const [address, done] = arguments;
fetch(address).then((answer) => answer.blob()).then((blob) => {
  const files = new DataTransfer();
  files.items.add(new File([blob], "dropped.jpg", { type: "image/jpeg" }));
  for (const kind of ["dragenter", "dragover", "drop"])
    window.dispatchEvent(new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true }));
  done(true);
});
"""
NAMELESS = """
return [...document.querySelectorAll("a, button, input:not([type=hidden]), select, textarea, img, summary")]
  .filter((each) => each.offsetParent !== null || each.closest("svg"))
  .filter((each) => each.tagName === "IMG" ? !each.hasAttribute("alt") :
    !(each.getAttribute("aria-label") || each.textContent.trim()
      || [...(each.labels ?? [])].some((label) => label.textContent.trim())
      || [...each.querySelectorAll("img")].some((i) => i.alt)))
  .map((each) => each.outerHTML.slice(0, 200));
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A drawn library, as a user would serve it; the second comic is read from the right."""
    root = tmp_path_factory.mktemp("browser") / "drawn"
    draw_corpus(root, 6, seed=5, comic_pages=3, width=400, height=560, options=JobOptions(jobs=1))
    corpus = Corpus.open(root)
    pages = corpus.pages(corpus.comics()[1])
    for record in pages:
        record.direction = "rtl"
    corpus.write_pages(pages[0].comic, pages)
    embed_corpus(corpus, EncoderSpec("classic"), root / "store", options=JobOptions(jobs=1))
    command = [sys.executable, "-m", "comictool", "serve", str(root), "--port", "0", "--token", "new"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def browser(address: str) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1200,900",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
    found.set_script_timeout(WAIT)
    found.get(address)  # with the token, which becomes a cookie
    yield found
    found.quit()


def until(browser: webdriver.Chrome, script: str) -> Any:
    return WebDriverWait(browser, WAIT, poll_frequency=0.05).until(lambda b: b.execute_script(f"return {script}"))


def check(browser: webdriver.Chrome) -> None:
    """Nothing on the console, a name on every control, nothing wider than the screen, nothing from elsewhere."""
    assert [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    assert browser.execute_script(NAMELESS) == []
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map((each) => each.name)")
    assert all(name.startswith(browser.execute_script("return location.origin")) for name in loaded)


def home(address: str) -> str:
    return address.partition("/?token")[0]


def comics(browser: webdriver.Chrome, address: str) -> list[str]:
    browser.get(f"{home(address)}/library")
    return [link.get_attribute("href") or "" for link in browser.find_elements(By.CSS_SELECTOR, ".cover a")]


def test_words_then_a_page_then_panel_by_panel(browser: webdriver.Chrome, address: str) -> None:
    browser.get(home(address))
    assert "token" not in browser.current_url
    check(browser)
    browser.find_element(By.TAG_NAME, "body").send_keys("/")
    browser.switch_to.active_element.send_keys("the", Keys.ENTER)
    until(browser, "document.querySelectorAll('.tile').length > 0")
    until(
        browser,
        "[...document.querySelectorAll('.tile img')].slice(0, 4).every((i) => i.complete && i.naturalWidth > 0)",
    )
    assert "THE" in browser.find_element(By.CSS_SELECTOR, ".tile .said").text.upper()
    check(browser)
    browser.find_element(By.CSS_SELECTOR, ".tile .open").click()
    until(browser, "document.querySelector('#stage img').naturalWidth > 0")
    assert browser.find_elements(By.CSS_SELECTOR, ".over a.marked")
    panels = len(browser.find_elements(By.CSS_SELECTOR, ".steps > li"))
    order = browser.find_element(By.CSS_SELECTOR, "[data-layer=order]")
    assert not browser.find_element(By.CSS_SELECTOR, ".layer.order").is_displayed()
    order.click()
    assert browser.find_element(By.CSS_SELECTOR, ".layer.order").is_displayed()
    check(browser)
    browser.find_element(By.ID, "read").click()
    assert browser.find_element(By.ID, "count").text == f"1 / {panels}"
    browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert browser.find_element(By.ID, "count").text == f"2 / {panels}"
    until(browser, "document.querySelector('#shown').naturalWidth > 0")
    check(browser)
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    until(browser, "!document.querySelector('#reader').open")


def test_a_dropped_picture_finds_its_page_and_leads_on(browser: webdriver.Chrome, address: str) -> None:
    browser.get(comics(browser, address)[0])
    page = browser.find_elements(By.CSS_SELECTOR, ".pages a")[1].get_attribute("href") or ""
    picture = page.replace("/page/", "/pictures/large/")
    browser.execute_async_script(DROP, picture)
    until(browser, "location.search.includes('picture=') && document.querySelectorAll('.tile').length > 0")
    assert (browser.find_element(By.CSS_SELECTOR, ".tile .open").get_attribute("href") or "").startswith(page)
    assert "the same" in browser.find_element(By.CSS_SELECTOR, ".tile .why").text
    check(browser)
    browser.find_element(By.CSS_SELECTOR, ".tile .more").click()
    until(browser, "location.search.includes('like=') && document.querySelectorAll('.tile').length > 0")
    check(browser)


def test_a_page_from_the_right_on_a_telephone(browser: webdriver.Chrome, address: str) -> None:
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    book = comics(browser, address)[1]
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        for where in (home(address), f"{home(address)}/?q=the", f"{home(address)}/library", book):
            browser.get(where)
            check(browser)
        browser.find_elements(By.CSS_SELECTOR, ".pages a")[1].click()
        until(browser, "document.querySelector('#reader')?.dataset.direction === 'rtl'")
        check(browser)
        here = browser.current_url
        browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ARROW_LEFT)  # the next page lies on the left
        until(browser, f"location.href !== '{here}' && document.readyState === 'complete'")
        assert browser.current_url.endswith("/3")
        browser.get(f"{here}?read=1")
        steps = browser.execute_script("return document.querySelectorAll('#script li').length")
        browser.switch_to.active_element.send_keys(Keys.ARROW_LEFT)
        assert browser.find_element(By.ID, "count").text == f"2 / {steps}"
        browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
        assert browser.find_element(By.ID, "count").text == f"1 / {steps}"
        tap = "const s = document.querySelector('#shown'); for (const k of ['pointerdown', 'pointerup'])"
        browser.execute_script(f"{tap} s.dispatchEvent(new PointerEvent(k, {{clientX: 30, bubbles: true}}))")
        assert browser.find_element(By.ID, "count").text == f"2 / {steps}"
        check(browser)
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
