"""`/now` in a real browser: it asks what plays while someone can see it, and not otherwise."""

from collections.abc import Callable
from typing import Any

Open = Callable[..., Any]
HIDE = """(isHidden) => {
  Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_a_hidden_page_asks_nothing_and_a_shown_one_at_once(open_page: Open) -> None:
    page = open_page("/now", 800, 480)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/api/now") else None)
    page.clock.install()  # so that minutes pass in no time
    page.reload()
    with page.expect_response("**/api/now"):
        page.clock.run_for(1500)
    page.evaluate(HIDE, True)
    page.clock.run_for(2000)  # what was under way ends
    before = len(asked)
    page.clock.run_for(600_000)
    assert len(asked) == before
    with page.expect_response("**/api/now"):
        page.evaluate(HIDE, False)
    with page.expect_response("**/api/now"):
        page.clock.run_for(2000)
    assert page.complaints == []
