"""The dashboard: operators see and change, visitors find the door; the charts say in words what they show; /metrics."""

import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from image_cache.engine.job import LoadRequest
from image_cache.engine.jobs import WARM
from image_cache.engine.key import Key
from image_cache.engine.stats.history import DAY_S, Failure, Sample, samples, sd_wear, store_failure
from image_cache.engine.stats.miss_ratio import MissRatioCurve
from image_cache.maintenance.actions.table import ActionFilter
from image_cache.maintenance.cache_figures import cache_figures
from image_cache.maintenance.counters_since import counters_since, reset_counters
from image_cache.maintenance.rates import Rates
from image_cache.web.admin import charts
from image_cache.web.admin import history_charts as figures
from image_cache.web.admin import storage_wear as card_view
from image_cache.web.admin.one_view import store_rows, unused_for
from tests.support.clock import FakeClock
from tests.support.engine import counted, key, webp
from tests.support.inside import LAN, PASSWORD, Inside, form_token
from tests.support.origin import Origin, jpeg
from tests.support.vault import Vault, wait_until

HERE = "/admin/cache"
NOW = 1_800_000_000.0
PAGE = {"Accept": "text/html"}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def inside(origin: Origin, tmp_path: Path, clock: FakeClock) -> Iterator[Inside]:
    """A vault whose clock stands still, and in which nothing runs by itself: periodic jobs go by the real one."""
    with Inside(tmp_path / "vault", trusted=(origin.base,), clock=clock, FREE_SPACE_FLOOR_MB=0, METRICS=True) as running:
        running.services.pool.close()
        yield running


@pytest.fixture
def operator(inside: Inside) -> FlaskClient:
    return inside.logged_in("operator")


def post(client: FlaskClient, path: str, **fields: str) -> int:
    return client.post(path, data={**fields, "csrf_token": form_token(client, HERE)}).status_code


def lived(inside: Inside, clock: FakeClock, hours: int = 30) -> None:
    """Let the service be used: an hour at a time, with hits, misses, fetches and jobs queued."""
    cache, jobs = inside.services.covers.cache, inside.services.covers.jobs
    assert cache.recorder is not None
    cache.put({key(n): webp(n, 50_000) for n in range(20)})
    for hour in range(hours):
        for number in range(40):
            cache.get(key(number % 21))
        cache.recorder.record_fetch("a.example", 0.2 + hour / 100, 1000)
        jobs.put([LoadRequest(key(("job", hour)).digest, "a.example")], WARM)
        cache.flush()
        clock.advance(3600)
    cache.flush(is_last=True)


def test_operators_are_let_in_others_are_refused_and_strangers_are_shown_the_door(inside: Inside) -> None:
    for role in ("operator", "owner", "viewer"):
        inside.account(role, role)
    for role, status in (("operator", 200), ("owner", 403), ("viewer", 403), ("", 401)):
        client = inside.stranger()
        if role:
            form = {"name": role, "password": PASSWORD, "csrf_token": form_token(client)}
            assert client.post("/login", data=form).status_code == 303
        for page in (HERE, f"{HERE}/clear", f"{HERE}/cleanup"):
            answer = client.get(page)
            assert answer.status_code == status, (role, page)
            assert ("Counters since" in answer.text) == (status == 200 and page == HERE)
        for page in ("/about", "/more"):
            assert (f'href="{HERE}"' in client.get(page).text) == (role == "operator"), (role, page)
        if role != "operator":
            for way in ("pause", "resume", "preload", "limits", "cleanup", "clear"):
                assert client.post(
                    f"{HERE}/{way}", data={"csrf_token": form_token(client, "/more" if role else "/login")}
                ).status_code in (400, 401, 403)
    assert not inside.services.limits.is_paused()
    assert 'name="password"' in inside.stranger().get(HERE).text


def test_a_stranger_without_a_browser_is_told_in_json(inside: Inside) -> None:
    answer = inside.client(address=LAN, host="vault.local:5000").get(HERE, headers={"Accept": "application/json"})
    assert answer.status_code == 401
    assert answer.json["error"]


def test_a_cold_vault_has_a_page_too(operator: FlaskClient) -> None:
    page = operator.get(HERE)
    assert page.status_code == 200
    assert "No requests in the last 24 hours." in page.text
    assert "Nothing has been fetched yet." in page.text
    assert "Not enough data yet: 0 of" in page.text
    assert page.headers["Cache-Control"] == "no-store"


def test_every_chart_is_well_formed_named_and_has_its_table(inside: Inside, clock: FakeClock) -> None:
    lived(inside, clock)
    operator = inside.client(accept="text/html")
    for span in ("day", "month", "", "x" * 50):
        text = operator.get(HERE, query_string={"span": span}).text
        drawn = re.findall(r'<svg class="chart-of".*?</svg>', text, re.DOTALL)
        assert len(drawn) >= 6
        for svg in drawn:
            root = ET.fromstring(svg)
            assert root.attrib["role"] == "img"
            assert root.attrib["aria-label"].endswith(".")
            assert "nan" not in svg
        assert text.count("<details") == len(drawn)
        assert "style=" not in text


def test_the_page_says_what_happened(inside: Inside, clock: FakeClock) -> None:
    lived(inside, clock)
    operator = inside.client(accept="text/html")
    with inside.services.covers.cache.index.database.write() as conn:
        store_failure(
            conn,
            Failure(clock.now - 7200, "a.example", "https://a.example/x.jpg?token=secret", "answered 500 <b>", clock.now + 600),
        )
        for _ in range(5):
            inside.services.covers.jobs.record_host_failure(conn, "b.example", "did not answer")
    text = operator.get(HERE).text
    assert "97.5" in text  # one of the forty uses of an hour finds nothing
    assert "a.example/x.jpg" in text
    assert "secret" not in text
    assert "answered 500 &lt;b&gt;" in text
    assert "retry in 10 min" in text
    assert "b.example" in text
    assert "did not answer" in text
    assert "Paused until" in text


def test_the_page_knows_covers_streams_and_files(inside: Inside, operator: FlaskClient, origin: Origin) -> None:
    files = inside.services.files
    inside.cover(origin)
    inside.services.streams.upload_stream_image("living-room", jpeg(900, 700), "a.jpg")
    files.enqueue(origin.put("/a.bin", b"x" * 3_000_000))
    wait_until(lambda: files.stats()["entries_count"] == 1)
    assert table_of(operator.get(HERE).text)["Unused for"] == ["1 h at most"] * 3
    caches = cache_figures(inside.services.vault)
    assert [unused_for(cache, NOW + 3.5 * 86400) for cache in caches] == ["3 days at most"] * 3
    inside.services.limits.pause()
    files.enqueue(f"{origin.base}/b.bin")
    text = operator.get("/admin/cache").text
    assert table_of(text)["Entries"] == ["3 cached images", "2 stream images", "1 file"]
    assert table_of(text)["Size"][2].startswith("3 MB of ")
    assert table_of(text)["Queue"] == ["empty", "empty", "1 waiting"]


def test_the_page_shows_what_is_biggest_and_requested_most(inside: Inside, operator: FlaskClient, origin: Origin) -> None:
    cover = inside.cover(origin)
    inside.services.streams.upload_stream_image("living-room", jpeg(900, 700), "a.jpg", title="A private title")
    for _ in range(7):
        inside.services.covers.cache.get(Key("covers", "detail", cover))
    page = operator.get(HERE).text
    big, most = (page.partition(f"<h2>{title}</h2>")[2].partition("</section>")[0] for title in ("Biggest", "Most requested"))
    assert "covers, detail" in big
    assert "streams, " in big
    assert "7 times" in most
    assert "A private title" not in page, "operators are not the audience of a private image"
    stats = operator.get("/api/cache/stats").json
    assert stats["most_requested"]["covers"][0]["requests"] == 7
    assert stats["biggest"]["covers"][0]["size_bytes"] > 0
    assert "most_requested" not in inside.stranger().get("/api/cache/stats").json


def test_the_head_names_what_is_to_be_looked_at(inside: Inside, operator: FlaskClient, clock: FakeClock) -> None:
    head = operator.get(HERE).text.partition("<h1>Dashboard</h1>")[2].partition("</div>")[0]
    assert "All OK, up " in head
    clock.now = 5000.0  # a clock that is not set yet
    head = operator.get(HERE).text.partition("<h1>Dashboard</h1>")[2].partition("</div>")[0]
    assert re.search(r"\d things? to look at: [a-z, -]*clock", head), head


def test_recent_hit_rates_are_shown_once_they_are_known(inside: Inside, operator: FlaskClient, origin: Origin) -> None:
    cover = Key("covers", "detail", inside.cover(origin))
    assert table_of(operator.get(HERE).text)["Last 10, 100, 1,000 s"] == ["no requests"] * 3
    caches = cache_figures(inside.services.vault)
    rates = Rates()
    rates.add(0.0, {f"{cache.name}.{name}": 0.0 for cache in caches for name in ("hits", "misses")})
    rates.add(
        100.0,
        {
            **{f"{cache.name}.{name}": 0.0 for cache in caches for name in ("hits", "misses")},
            "covers.hits": 3.0,
            "covers.misses": 1.0,
        },
    )
    row = next(
        row for row in store_rows(caches, (), rates, NOW, growth="", is_paused=False) if row.title == "Last 10, 100, 1,000 s"
    )
    assert [cell.text for cell in row.cells] == ["\N{EN DASH}, 75.0%, \N{EN DASH}", "no requests", "no requests"]
    assert inside.services.covers.cache.get(cover)


def test_stream_images_are_cleared_and_rendered_again(inside: Inside, operator: FlaskClient) -> None:
    streams = inside.services.streams
    streams.upload_stream_image("living-room", jpeg(900, 700), "a.jpg")
    assert "Clear the cache of stream images?" in operator.get(f"{HERE}/clear?cache=streams").text
    assert operator.get(f"{HERE}/clear?cache=files").status_code == 400
    assert post(operator, f"{HERE}/clear", cache="streams") == 303
    assert table_of(operator.get(HERE).text)["Entries"][1] == "0 stream images"
    assert post(operator, f"{HERE}/preload", cache="streams") == 303
    wait_until(lambda: table_of(operator.get(HERE).text)["Entries"][1] == "2 stream images")
    assert next(one.what for one in inside.services.actions.find(ActionFilter(), 10)) == "cleared the cache of stream images"


def table_of(text: str) -> dict[str, list[str]]:
    """Return the table of the three caches: the title of a row, and what its cells say."""
    table = text.partition('<table class="stores">')[2].partition("</table>")[0]
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</th>(.*?)</tr>", table, re.DOTALL)
    cells = [(title, re.findall(r"<td>(.*?)</td>", row, re.DOTALL)) for title, row in rows]
    return {title: [re.sub(r"<[^>]*>", "", cell).strip() for cell in found] for title, found in cells}


def test_counters_begin_again_and_the_history_stays(inside: Inside, operator: FlaskClient, clock: FakeClock) -> None:
    lived(inside, clock, hours=2)
    before = table_of(operator.get(HERE).text)
    assert before["Hit rate"] == ["97.5 % of 80", "0 requests", "0 requests"]
    assert "Counters since the beginning" in operator.get(HERE).text
    assert operator.get(f"{HERE}/reset").status_code == 200
    assert table_of(operator.get(HERE).text) == before, "asking changes nothing"
    assert post(operator, f"{HERE}/reset") == 303
    page = operator.get(HERE).text
    assert table_of(page)["Hit rate"][0] == "0 requests"
    assert "Counters since the beginning" not in page
    assert "vinylvault_hits_total 78\n" in inside.client().get("/metrics").text
    inside.services.covers.cache.get(key(1))
    inside.services.covers.cache.flush()
    assert table_of(operator.get(HERE).text)["Hit rate"][0] == "100 % of 1"
    assert sum(sample.hits for sample in inside.services.vault.samples()) >= 78


def test_counters_of_a_new_index_are_shown_whole(inside: Inside) -> None:
    """They are lower than at the reset: subtracting would show less than nothing."""
    caches = cache_figures(inside.services.vault)
    reset_counters(inside.services.catalog, [replace(cache, hits=10**6) for cache in caches], NOW)
    assert counters_since(inside.services.catalog, caches).caches == caches


def test_pausing_and_resuming_is_seen_on_the_wall(inside: Inside, operator: FlaskClient, origin: Origin) -> None:
    assert post(operator, f"{HERE}/pause") == 303
    assert inside.services.limits.is_paused()
    inside.album(origin.put("/a.jpg", jpeg()))
    assert "Downloads paused, 0 of 1" in operator.get("/").text
    assert "Resume fetching" in operator.get(HERE).text
    state = operator.post("/api/cache/state", json={"digests": []}, headers={"X-CSRFToken": form_token(operator, HERE)})
    assert state.json["progress"]["is_paused"] is True
    assert post(operator, f"{HERE}/resume") == 303
    assert not inside.services.limits.is_paused()
    assert "Pause fetching" in operator.get(HERE).text


def test_limits_are_changed_and_a_lower_budget_evicts_before_the_answer(inside: Inside, operator: FlaskClient) -> None:
    cache = inside.services.covers.cache
    cache.put({key(n): webp(n, 100_000) for n in range(30)})
    assert post(operator, f"{HERE}/limits", max_size_mb="2", memory_mb="5", ttl_hours="") == 303
    assert counted(cache)[1] <= 2_000_000
    assert cache.memory.budget_bytes == 5_000_000
    assert 'value="2"' in operator.get(HERE).text


def test_a_limit_that_can_be_none_is_refused_in_words_and_what_was_typed_stays(inside: Inside, operator: FlaskClient) -> None:
    before, token = inside.services.limits(), form_token(operator, HERE)
    for value in ("much", "-1", "0", "nan", "1e99", "9" * 30):
        answer = operator.post(f"{HERE}/limits", data={"max_size_mb": value, "csrf_token": token})
        assert answer.status_code == 400, value
        assert 'role="alert"' in answer.text
        assert f'value="{value[:20]}"' in answer.text
        assert inside.services.limits() == before


def test_a_clean_up_says_what_would_go_and_then_removes_it(inside: Inside, clock: FakeClock) -> None:
    operator = inside.client(accept="text/html")
    cache = inside.services.covers.cache
    cache.put({key(n): webp(n, 1000) for n in range(3)})
    clock.advance(40 * DAY_S)
    cache.put({key("young"): webp(9)})
    page = operator.get(f"{HERE}/cleanup", query_string={"days": "30"}).text
    assert "3 cached images have not been used for 30 days (3 KB)" in page
    assert counted(cache)[0] == 4
    assert post(operator, f"{HERE}/cleanup", days="30") == 303
    assert counted(cache)[0] == 1
    assert "Nothing to remove" in operator.get(f"{HERE}/cleanup").text


def test_a_clean_up_of_no_number_of_days_removes_nothing(inside: Inside, operator: FlaskClient) -> None:
    inside.services.covers.cache.put({key(1): webp(1)})
    token = form_token(operator, HERE)
    for days in ("0", "-3", "x", "nan", "1e9"):
        assert operator.get(f"{HERE}/cleanup", query_string={"days": days}).status_code == 400, days
        assert operator.post(f"{HERE}/cleanup", data={"days": days, "csrf_token": token}).status_code == 400, days
    assert counted(inside.services.covers.cache)[0] == 1


def test_a_clear_asks_on_a_page_of_its_own(inside: Inside, operator: FlaskClient) -> None:
    inside.services.covers.cache.put({key(n): webp(n, 1000) for n in range(3)})
    assert "This removes 3 cached images (3 KB)" in operator.get(f"{HERE}/clear").text
    assert counted(inside.services.covers.cache)[0] == 3
    assert post(operator, f"{HERE}/clear") == 303
    assert counted(inside.services.covers.cache)[0] == 0


def test_what_is_missing_is_queued_and_shown_as_a_job(inside: Inside, operator: FlaskClient, origin: Origin) -> None:
    inside.services.limits.pause()
    inside.services.covers.register([origin.put(f"/{n}.jpg", jpeg()) for n in range(4)])
    assert "4 covers have not been downloaded yet" in operator.get(HERE).text
    assert post(operator, f"{HERE}/preload") == 303
    text = operator.get(HERE).text
    assert "Collection covers" in text
    assert inside.services.covers.jobs.depth() == 4


def test_charts_of_numbers_at_the_edge_stay_inside_their_box() -> None:
    line = charts.LineChart([None, 0, 5, None, 1e9, -3, None, 4.0], "x")
    svg = ET.fromstring(
        charts.lines_chart([line, charts.LineChart([None] * 8, "y", "watch", is_at_peak=True)], [(0.0, "a")], "Says.", top=10)
    )
    for path in svg.iter("path"):
        numbers = [float(number) for number in re.findall(r"-?[0-9.]+", path.attrib["d"])]
        assert all(-1 <= number <= charts.WIDTH + 1 for number in numbers)
    bars = charts.bars_chart([(str(n), n) for n in range(30)], "Says.", top=30, write=str, limit=(20, "most"))
    assert str(bars).count('class="bar over"') == 9
    assert "<script" not in charts.bars_chart([("<script>", 1)], "<script>", top=1, write=str)


@pytest.mark.parametrize("most", [0, 0.1, 1, 2.9, 3.1, 59, 61, 99, 100, 101, 1234, 9.9e11])
def test_a_scale_ends_a_little_above_what_it_shows(most: float) -> None:
    top = charts.top_of(most)
    assert top >= max(most, 1)
    assert top <= max(most, 1) * 1.6
    assert len(f"{top / 3:g}") <= 5 or top > 1e5


@pytest.mark.parametrize(("share", "count"), [(0, 0), (0.001, 1), (0.5, 30), (0.999, 60), (1, 60), (7, 60)])
def test_a_field_of_dots_shows_a_share_and_the_least_share_is_a_dot(share: float, count: int) -> None:
    on = re.search(r'class="on" d="([^"]*)"', charts.dot_gauge(share))
    assert on is not None
    assert on[1].count("M") == count


def test_points_carry_levels_over_and_begin_with_the_history(inside: Inside, clock: FakeClock) -> None:
    cache = inside.services.covers.cache
    cache.put({key(1): webp(1, 1000)})
    cache.get(key(1))
    cache.flush()
    clock.advance(5 * 3600)
    points = figures.points_of(inside.services.vault, figures.SPANS["day"])
    assert len(points) == 96
    known = [point for point in points if point is not None]
    assert len(known) == 21
    assert {point.size_bytes for point in known} == {1000}
    assert [point.hits for point in known] == [1] + [0] * 20
    assert points[-1] is not None


def test_an_idle_service_is_not_one_without_a_history(inside: Inside, clock: FakeClock) -> None:
    inside.services.covers.cache.flush()
    (sample,) = samples(inside.services.covers.cache.index.database, clock.now)
    assert sample == Sample(sample.at, latency=sample.latency, written_bytes=sample.written_bytes)


def curve_of(points: tuple[tuple[int, float], ...], enough: int, uses: int = 5000) -> MissRatioCurve:
    return MissRatioCurve(points, uses, 1000, NOW - 5 * DAY_S, bool(points), 0.5, 10**9, enough)


def test_the_curve_tells_what_to_do() -> None:
    points = ((10**9, 0.91), (2 * 10**9, 0.97), (4 * 10**9, 0.972))
    drawn = card_view.curve_chart(curve_of(points, 2 * 10**9), 4 * 10**9)
    assert drawn.sentence == "1 GB 91%, 2 GB 97%, 4 GB 97%."
    assert drawn.advice == "2 GB is enough. A larger cache would not help."
    assert card_view.curve_chart(curve_of(points, 2 * 10**9), 10**9).advice == "With 2 GB the hit rate would be 97%."
    assert card_view.curve_chart(curve_of(points, 2 * 10**9), 2 * 10**9).advice == "The current 2 GB is right."
    young = card_view.curve_chart(curve_of((), 0), 10**9)
    assert young.svg is None
    assert "at least one day" in young.sentence


def test_the_card_says_how_long_it_lasts_only_when_somebody_said_what_it_bears(inside: Inside, clock: FakeClock) -> None:
    database = inside.services.covers.cache.index.database
    with database.write() as conn:
        for day in range(6):
            at = int(NOW - day * DAY_S) // 3600 * 3600
            conn.execute("INSERT INTO samples VALUES (3600, ?, 0, 0, 0, 0, 0, 0, 2000000000, 0, 0, 0, '')", (at,))
    disk = inside.services.covers.cache.disk
    silent = {name: words for name, _, words in card_view.wear_facts(disk, sd_wear(database, clock.now, budget_bytes=10**9))}
    told = card_view.wear_facts(disk, sd_wear(database, clock.now, budget_bytes=10**9, endurance_bytes=16 * 10**12))
    assert "Life" not in silent
    assert silent["Write rate"].startswith("2 GB per day")
    lamps = {name: (lamp, words) for name, lamp, words in told}
    assert lamps["Life"] == ("well", "16 TB rated endurance lasts about 22 years at this rate")
    assert lamps["Written today"][0] == "warning"


METRIC = re.compile(r"^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{(host|cache)=\"[^\"]*\"\})? -?[0-9.e+]+)$")


def test_metrics_are_told_to_this_machine_and_to_whoever_has_the_token(inside: Inside, clock: FakeClock, tmp_path: Path) -> None:
    lived(inside, clock, hours=2)
    answer = inside.client().get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert all(METRIC.match(line) for line in answer.text.splitlines()), answer.text
    assert "vinylvault_hits_total 78\n" in answer.text
    assert 'vinylvault_host_fetches_total{host="a.example"} 2\n' in answer.text
    assert 'vinylvault_store_hits_total{cache="covers"} 78\n' in answer.text
    assert 'vinylvault_store_entries{cache="files"} 0\n' in answer.text
    stranger = inside.stranger()
    assert stranger.get("/metrics").status_code == 401
    assert stranger.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 401


COUNTERS = (
    "hits", "misses", "evictions", "fetches", "fetched_bytes", "failures", "renders", "written_bytes", "host_fetches", "host_failures",
    "store_hits", "store_misses", "store_evictions", "store_errors",
)  # fmt: skip
GAUGES = (
    "cache_bytes", "cache_budget_bytes", "cache_entries", "memory_bytes", "memory_budget_bytes", "queue_jobs", "running_jobs",
    "fetching_paused", "disk_free_bytes", "disk_free_inodes", "host_paused",
    "store_bytes", "store_budget_bytes", "store_entries", "store_queue_jobs", "store_running_jobs",
)  # fmt: skip


def test_metrics_have_the_documented_names_types_and_labels_and_whole_numbers(inside: Inside, clock: FakeClock) -> None:
    """Read as Prometheus reads it; and as a script does, that would trip over 2e+09."""
    lived(inside, clock, hours=2)
    inside.services.limits.pause()
    text = inside.client().get("/metrics").text
    families = list(text_string_to_metric_families(text))
    counters, gauges = ([f"vinylvault_{name}" for name in names] for names in (COUNTERS, GAUGES))
    assert {family.name: family.type for family in families} == {
        **dict.fromkeys(counters, "counter"),
        **dict.fromkeys(gauges, "gauge"),
    }
    samples = {(sample.name, *sample.labels.items()): sample.value for family in families for sample in family.samples}
    assert {name for name, *labels in samples if labels} == {
        "vinylvault_host_fetches_total",
        "vinylvault_host_failures_total",
        "vinylvault_host_paused",
        "vinylvault_store_hits_total",
        "vinylvault_store_misses_total",
        "vinylvault_store_evictions_total",
        "vinylvault_store_errors_total",
        *(f"vinylvault_{name}" for name in GAUGES if name.startswith("store_")),
    }
    assert samples["vinylvault_fetching_paused",] == 1
    assert samples["vinylvault_cache_budget_bytes",] == inside.services.covers.cache.budget_bytes > 1e6
    assert f"vinylvault_cache_budget_bytes {inside.services.covers.cache.budget_bytes}\n" in text
    assert not re.search(r"\d(\.0|e\+\d+)$", text, re.MULTILINE)


def test_without_the_extra_the_page_of_the_metrics_says_what_to_install(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("prometheus_client", "image_cache.web.admin.prometheus"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)  # as the import system marks what is not there
    answer = inside.client().get("/metrics")
    assert answer.status_code == 501
    assert "pip install --require-hashes -r requirements-metrics.txt" in answer.text
    assert inside.stranger().get("/metrics").status_code == 401


def test_a_token_opens_the_metrics_from_elsewhere_and_a_wrong_one_does_not(origin: Origin, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("a-long-enough-token-of-letters\n", encoding="utf-8")
    with Inside(tmp_path / "vault", METRICS=True, METRICS_TOKEN_FILE=secret) as inside:
        stranger = inside.stranger()
        for given, status in (
            ("a-long-enough-token-of-letters", 200),
            ("a-long-enough-token-of-letter", 401),
            ("", 401),
            ("é", 401),
        ):
            assert stranger.get("/metrics", headers={"Authorization": f"Bearer {given}"}).status_code == status
        secret.write_text("short", encoding="utf-8")
        assert stranger.get("/metrics", headers={"Authorization": "Bearer short"}).status_code == 401
        secret.unlink()
        assert stranger.get("/metrics", headers={"Authorization": "Bearer x"}).status_code == 401


def test_without_the_setting_there_are_no_metrics(tmp_path: Path) -> None:
    with Inside(tmp_path / "vault") as inside:
        assert inside.client().get("/metrics").status_code == 404


@pytest.mark.slow
def test_two_workers_keep_one_history_and_a_pause_holds_in_both(origin: Origin, tmp_path: Path) -> None:
    with Vault(tmp_path / "vault", trusted=(origin.base,), workers=2) as vault:
        vault.post(f"{HERE}/pause", {})
        pages = [vault.get(HERE, Accept="text/html").body.decode() for _ in range(8)]
        assert all("Resume fetching" in page for page in pages)
        assert vault.stop() == 0
        vault.start()
        assert "Resume fetching" in vault.get(HERE, Accept="text/html").body.decode()
