"""A real Chromium, and a whole application for it to look at: gunicorn as a process, covers from an origin on loopback."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.support.origin import Origin, jpeg
from tests.support.vault import Vault
from tests.support.visitor import Browser

RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]
ARGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]
PATIENT_MS = 90_000  # three files of tests share two processors

# Adds up every shift of the layout that no one caused by touching something, from the first byte on. A ten-thousandth is less than
# a pixel of the smallest page: the sum of rounded fractions of one, which a busy browser reports now and then.
COUNT_SHIFTS = """
window.shifted = 0;
window.movers = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries().filter((one) => !one.hadRecentInput && one.value >= 1e-4)) {
    window.shifted += entry.value;
    window.movers.push(...entry.sources.map(({ node, previousRect, currentRect }) =>
      `${node?.outerHTML?.slice(0, 90) ?? node?.textContent} ${JSON.stringify([previousRect, currentRect])}`));
  }
}).observe({ type: "layout-shift", buffered: true });
"""


# What can be seen is here: fonts, images, and covers that were still to be fetched when the page was drawn.
IS_SETTLED = """() => {
  const isSeen = (one) => { const box = one.getBoundingClientRect(); return box.width > 0 && box.bottom > 0 && box.top < innerHeight; };
  const open = ".sleeve[data-state=waiting], .sleeve[data-state=working]";
  return document.fonts.status === "loaded"
    && [...document.images].filter(isSeen).every((image) => image.complete)
    && ![...document.querySelectorAll(open)].some(isSeen);
}"""


def is_of_the_browser(error: str) -> bool:
    """Tell what the browser says of itself: on a slow machine the movement from page to page comes too late, and is left out."""
    return error.startswith("Transition was aborted because of")


def keep_screenshot(page: Any, path: Path) -> None:
    """Write what can be seen, for a person to look at. Chromium refuses while one page moves into the next; no test needs it."""
    from playwright.sync_api import Error  # only where there is a browser

    with suppress(Error):
        page.screenshot(path=path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below this folder needs Chromium, a server, and more than a second."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.server)
            item.add_marker(pytest.mark.slow)


NAMES = [
    "Ada",
    "Bo",
    "Cy",
    "Dot",
    "Elm",
    "Fen",
    "Gil",
    "Hal",
    "Ivy",
    "Jo",
    "Kit",
    "Lou",
    "Max",
    "Ned",
    "Oda",
    "Pip",
    "Quin",
    "Ray",
    "Sol",
    "Tam",
    "Una",
    "Val",
    "Wes",
    "Xan",
    "Yul",
    "Zed",
]
RECORDS = 150  # two pages and a half


def collection(origin: Origin) -> list[dict[str, object]]:
    """Return records of all letters and six decades; each has its own cover, but every 25th has none."""
    rows: list[dict[str, object]] = []
    for number in range(RECORDS):
        name = NAMES[number % len(NAMES)]
        colour = (number * 53 % 256, number * 97 % 256, number * 31 % 256)
        rows.append(
            {
                "artist": f"{name} and the Number {number // len(NAMES) + 1}",
                "title": f"{name} Plays It {('Slow', 'Loud', 'Again')[number % 3]}, Volume {number}",
                "year": 1958 + number * 7 % 60,
                "genre": ("Jazz", "Folk", "Dub")[number % 3],
                "format": "LP",
                "label": "Staithe",
                "cover_url": "" if number % 25 == 24 else origin.put(f"/{number}.jpg", jpeg(640, 640, colour)),
                "tracks": [{"position": p, "title": f"The {p} Waltz", "duration_s": 200} for p in ("A1", "A2", "B1", "B2")],
            }
        )
    return rows


@pytest.fixture(scope="session")
def live_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running application with more than two pages of records; no cover has been fetched yet."""
    with Origin() as origin, Vault(tmp_path_factory.mktemp("live") / "vault", trusted=(origin.base,)) as vault:
        vault.import_albums(collection(origin))
        yield vault.url


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGS)
        new_context = browser.new_context

        def new_patient_context(**options: Any) -> Any:
            context = new_context(**options)
            context.set_default_timeout(PATIENT_MS)
            return context

        browser.new_context = new_patient_context
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any, live_app: str) -> Iterator[Callable[..., Any]]:
    """Open a page of the application in its own window; `page.complaints` gathers what the console says."""
    contexts = []

    def open_one(
        path: str,
        width: int = 1440,
        height: int = 900,
        *,
        dark: bool = False,
        touch: bool = False,
        scripts: bool = True,
        **more: Any,
    ) -> Any:
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            has_touch=touch,
            java_script_enabled=scripts,
            base_url=live_app,
            **more,
        )
        contexts.append(context)
        context.add_init_script(COUNT_SHIFTS)
        page = context.new_page()
        page.complaints = []
        page.on("console", lambda message: message.type in ("error", "warning") and page.complaints.append(message.text))
        page.on("pageerror", lambda error: is_of_the_browser(str(error)) or page.complaints.append(str(error)))
        page.goto(path, wait_until="load")
        if scripts:
            page.wait_for_function("() => document.fonts.status === 'loaded'")
        return page

    yield open_one
    for context in contexts:
        context.close()


@pytest.fixture
def as_owner(open_page: Callable[..., Any], served: tuple[Vault, Browser]) -> Callable[..., Any]:
    """Open a page like `open_page`, logged in as the owner. The file of tests has the fixture `served`: its vault and that owner."""
    name, _, value = served[1].cookie.partition("=")
    cookie = {"name": name, "value": value, "domain": "127.0.0.1", "path": "/", "httpOnly": True, "secure": False}
    state = {"cookies": [{**cookie, "sameSite": "Lax", "expires": -1}], "origins": []}
    return lambda path, *sizes, **more: open_page(path, *sizes, storage_state=state, **more)


@pytest.fixture(scope="session")
def axe() -> Callable[[Any], list[str]]:
    """Return a function that names everything axe finds on a page."""
    source = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")

    def look(page: Any) -> list[str]:
        page.evaluate(source)
        found = page.evaluate(f"axe.run(document, {{runOnly: {json.dumps(RULES)}}})")
        return [f"{one['id']}: {one['nodes'][0]['html'][:160]}" for one in found["violations"]]

    return look
