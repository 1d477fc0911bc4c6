"""Filters, orders and the search by touch and without scripts."""

from collections.abc import Callable
from typing import Any

Open = Callable[..., Any]


def test_a_rating_is_chosen_on_the_little_screen_and_left_out_again(open_page: Open) -> None:
    page = open_page("/", 800, 480, touch=True)
    page.locator(".sorter").tap()
    page.wait_for_selector("dialog.dialog[open]")
    page.locator("dialog select[name=played]").select_option("never")
    page.locator("dialog button", has_text="Apply filters").tap()
    page.wait_for_url("**played=never**")
    chosen = page.locator(".chosen-filters a")
    assert [" ".join(text.split()) for text in chosen.all_inner_texts()] == ["never played \N{MULTIPLICATION SIGN}"]
    box = chosen.first.bounding_box()
    assert min(box["width"], box["height"]) >= 44
    chosen.first.tap()
    page.wait_for_url(lambda url: "played" not in url)
    assert page.complaints == []


def test_the_order_turns_round_and_a_record_leads_to_its_artist(open_page: Open) -> None:
    page = open_page("/?sort=year")
    first = page.locator(".wall .cap").first.inner_text()
    page.locator(".turn").click()
    page.wait_for_url("**back=1")
    assert page.locator(".wall .cap").first.inner_text() != first
    page.locator(".wall .tile").first.click()
    page.wait_for_selector("article.record")
    artist = page.locator(".says .artist").inner_text()
    page.locator(".says .artist a").click()
    page.wait_for_url("**artist=*")
    assert page.locator("h1").inner_text().startswith(artist)
    assert page.locator(".about-line").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.complaints == []
