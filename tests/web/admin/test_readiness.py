"""`/livez` and `/readyz`: what supervisors and load balancers are told, quickly, also when the database hangs."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

from image_cache.maintenance.readiness import Readiness
from tests.support.inside import Inside
from tests.support.vault import wait_until
from tests.web.covers.test_api import documented


def test_a_process_that_serves_lives_and_is_ready(inside: Inside) -> None:
    client = inside.client(address="192.168.1.99", cookies=False)
    for path, word in (("/livez", "alive"), ("/readyz", "ready")):
        answer = documented(client.get(path), "get", path)
        assert (answer.status_code, answer.json) == (200, {"status": word})
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in answer.headers


def test_without_its_catalogue_it_lives_and_is_not_ready(inside: Inside) -> None:
    inside.services.pool.close()
    inside.services.catalog.close()
    (inside.folder / "state/catalog.db").write_bytes(b"this is no database" * 100)
    client = inside.client(address="192.168.1.99")
    assert client.get("/livez").status_code == 200
    answer = documented(client.get("/readyz"), "get", "/readyz")
    assert answer.status_code == 503
    assert answer.json == {"status": "not ready", "reason": "The catalogue cannot be read. /health says more."}
    assert answer.headers["Retry-After"] == "2"


def test_without_its_disk_it_should_be_restarted(inside: Inside) -> None:
    inside.services.pool.close()
    shutil.rmtree(inside.folder / "cache")
    answer = documented(inside.client().get("/livez"), "get", "/livez")
    assert (answer.status_code, answer.json["status"]) == (503, "not alive")
    assert str(inside.folder) not in answer.text


def test_probes_are_never_limited(inside: Inside) -> None:
    client = inside.stranger()
    assert {client.get(path).status_code for _ in range(300) for path in ("/livez", "/readyz")} == {200}


def test_a_database_that_hangs_holds_up_one_thread_and_no_other(inside: Inside) -> None:
    services, asked, answers = inside.services, list[None](), threading.Event()
    hangs = threading.Event()

    def condition() -> str:
        if hangs.is_set():
            asked.append(None)
            answers.wait(60)
        return ""

    def ask() -> None:
        while not asked:
            readiness.why_not_ready()

    readiness = Readiness(services.settings, services.catalog, services.pool, [condition], late_s=0.05)
    assert readiness.why_not_ready() == ""
    hangs.set()
    with ThreadPoolExecutor(1) as stuck:
        held_up = stuck.submit(ask)
        wait_until(lambda: asked)
        wait_until(lambda: readiness.why_not_ready() == "The database does not answer.")
        assert len(asked) == 1
        hangs.clear()
        answers.set()
        held_up.result(60)
    wait_until(lambda: readiness.why_not_ready() == "")


def test_one_question_answers_many_monitors(inside: Inside) -> None:
    questions: list[None] = []
    services = inside.services
    readiness = Readiness(services.settings, services.catalog, services.pool, [lambda: questions.append(None) or "No."])
    assert {readiness.why_not_ready() for _ in range(200)} == {"No."}
    assert len(questions) < 20
