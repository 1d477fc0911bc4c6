"""The page of one record."""

from collections.abc import Callable
from typing import Any

Open = Callable[..., Any]


def test_a_play_is_counted_and_taken_back_without_leaving(open_page: Open) -> None:
    page = open_page("/album/2")
    before = page.locator("[data-part=grades] dd").first.inner_text()
    page.evaluate("window.isSame = true")
    page.get_by_role("button", name="I played it").click()
    page.get_by_role("button", name="Undo").wait_for()
    assert page.locator("[data-part=grades] dd").first.inner_text() != before
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("Play undone.").wait_for()
    assert page.locator("[data-part=grades] dd").first.inner_text() == before
    assert page.evaluate("window.isSame")
    assert page.complaints == []


def test_right_and_left_go_along_the_shelf(open_page: Open) -> None:
    page = open_page("/")
    third = page.locator(".wall .tile").nth(2).get_attribute("href")
    fourth = page.locator(".wall .tile").nth(3).get_attribute("href")
    page.goto(third)
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"**{fourth}")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(f"**{third}")


def test_a_swipe_on_the_stage_goes_along_the_shelf(open_page: Open) -> None:
    page = open_page("/", 390, 844, touch=True)
    third = page.locator(".wall .tile").nth(2).get_attribute("href")
    fourth = page.locator(".wall .tile").nth(3).get_attribute("href")
    page.goto(third)
    page.evaluate(
        """() => { const stage = document.querySelector(".stage");
          for (const [kind, x] of [["pointerdown", 250], ["pointerup", 90]])
            stage.dispatchEvent(new PointerEvent(kind, { pointerType: "touch", clientX: x, clientY: 150, bubbles: true })); }"""
    )
    page.wait_for_url(f"**{fourth}")


def test_the_large_picture_lies_over_the_small_one(open_page: Open) -> None:
    page = open_page("/")
    page.wait_for_selector(".wall .sleeve[data-state=ready]")
    page.goto(page.locator(".wall li:has(.sleeve[data-state=ready]) .tile").first.get_attribute("href"))
    page.wait_for_function("() => document.querySelector('.front img.detail')?.naturalWidth >= 400")
    small, large = page.locator(".front img.small").bounding_box(), page.locator(".front img.detail").bounding_box()
    assert small == large


def test_spin_leads_to_a_record_and_the_disc_stands_still_when_asked(open_page: Open) -> None:
    page = open_page("/random", reduced_motion="reduce")
    assert "/album/" in page.url
    assert page.evaluate("document.getAnimations().length") == 0


def test_the_documented_template_works_when_another_page_uses_it(open_page: Open) -> None:
    """The README's snippet: an `img` with `data-src` and no `src`, and one with a placeholder as `src`."""
    page = open_page("/")
    page.wait_for_selector(".wall .sleeve[data-state=ready] img")
    source = page.locator(".wall .sleeve[data-state=ready] img").first.get_attribute("data-src")
    script = page.locator("script[src$='app.js']").get_attribute("src")
    token = page.locator("meta[name=csrf-token]").get_attribute("content")
    html = f"""<!doctype html><meta charset=utf-8><meta name=csrf-token content="{token}"><script type=module src="{script}"></script>
      <img class="lazy-load" id=one data-src="{source}" data-original-src="x" data-size-type="thumbnails" alt=a loading=lazy>
      <div style="height: 4000px"></div>
      <img class="lazy-load" id=two data-src="{source.replace("thumbnails", "detail")}" data-original-src="x" data-size-type="detail"
        src="/cache/placeholders/placeholder_detail.webp" alt=a loading=lazy>"""
    page.route("**/elsewhere", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto("/elsewhere")
    page.wait_for_function("() => document.querySelector('#one').naturalWidth >= 100")
    page.evaluate("document.querySelector('#two').scrollIntoView()")
    page.wait_for_function("() => document.querySelector('#two').currentSrc.includes('/cache/detail/')")
    page.wait_for_function("() => document.querySelector('#two').naturalWidth >= 400")


def test_the_page_offers_its_documented_calls(open_page: Open) -> None:
    page = open_page("/")
    assert page.evaluate("VinylVault.preloadCurrentPageImages().then((answer) => answer.success)") is True
    assert isinstance(page.evaluate("VinylVault.getCacheStats()"), dict)
    assert isinstance(page.evaluate("VinylVault.clearImageCache()"), bool)


def test_the_page_that_asks_before_a_record_goes_is_readable_by_all_and_leads_back(
    open_page: Open, axe: Callable[[Any], list[str]]
) -> None:
    page = open_page("/album/2", reduced_motion="reduce")
    page.get_by_role("link", name="Remove this record").click()
    page.wait_for_url("**/album/2/remove")
    for width, height in ((320, 640), (390, 844), (800, 480), (1440, 900)):
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert axe(page) == []
    page.get_by_role("link", name="Cancel").click()
    page.wait_for_url("**/album/2")
    assert page.complaints == []
