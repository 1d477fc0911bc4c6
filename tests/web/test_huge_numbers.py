"""Numbers beyond what SQLite or Python can take: every route refuses them, none of them fails."""

import pytest

from tests.support.inside import Inside, form_token

HUGE = [str(10**18), str(2**63), str(10**30), "9" * 5000]  # Python refuses to read more than 4,300 digits
QUERIES = ["page", "size", "days", "limit", "offset", "decade", "year", "seed", "since", "after", "span", "stars", "q"]


@pytest.mark.parametrize("number", HUGE, ids=lambda text: f"{len(text)} digits")
def test_no_number_in_an_address_fails(inside: Inside, number: str) -> None:
    client = inside.logged_in()
    token = form_token(client, "/account")
    for rule in inside.app.url_map.iter_rules():
        values = {name: number if type(one).__name__ == "IntegerConverter" else "1" for name, one in rule._converters.items()}
        if not any(value == number for value in values.values()):
            continue
        path = rule.rule
        for name, value in values.items():
            path = path.replace(f"<int:{name}>", value).replace(f"<{name}>", value)
        for method in sorted((rule.methods or set()) & {"GET", "POST", "PATCH", "DELETE"}):
            data = None if method == "GET" else {"csrf_token": token, "stars": number, "notes": "x"}
            status = client.open(path, method=method, data=data).status_code
            assert status in (400, 404, 405, 429), (method, path[:60], status)


@pytest.mark.parametrize("number", HUGE, ids=lambda text: f"{len(text)} digits")
def test_no_number_in_a_query_or_form_fails(inside: Inside, number: str) -> None:
    inside.album()
    client = inside.logged_in()
    for rule in inside.app.url_map.iter_rules():
        path = rule.rule.replace("<int:album_id>", "1").replace("<int:task_id>", "1")
        if "GET" in (rule.methods or set()) and "<" not in path:
            for query in QUERIES:
                status = client.get(f"{path}?{query}={number}").status_code
                assert status < 500, (path, query, status)
    token = form_token(client, "/account")
    for path, field in (("/album/1/stars", "stars"), ("/login", "name"), ("/claim", "code"), ("/album/1/notes", "notes")):
        status = client.post(path, data={"csrf_token": token, field: number}).status_code
        assert status < 500, (path, field, status)
