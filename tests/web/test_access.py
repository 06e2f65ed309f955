"""Who may ask the page's server: nobody by another name, from another page, without the key, or twice with it."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import tracker
from tests.helpers.pages import Page, serving
from tracker.variables import UI_TOKEN
from tracker.web.access import Keys
from tracker.web.static_files import PAGES

READS = (
    "/info", "/runs", "/groups?by=status", "/fields", "/sparklines?runs=a", "/waste", "/checkpoints",
    "/runs/a", "/runs/a/epochs", "/runs/a/decisions", "/runs/a/checkpoints", "/runs/a/attempts",
    "/runs/a/series?name=batch_loss", "/compare?runs=a,b", "/curves?runs=a,b&metric=loss",
    "/replay?runs=a&monitor=loss&patience=1,2,3", "/deletion?runs=a",
)  # fmt: skip
SCRIPT = "<script>alert(1)</script>"


def record(database: Path | None = None) -> None:
    """Record two runs with all there is."""
    file = (Path() if database is None else database.parent).absolute() / "a.pt"
    file.write_bytes(b"weights")
    for name in ("a", "b"):
        with tracker.start_run("digits", name, params={"lr": 0.1}, database=database) as run:
            policy = run.add_policy("EarlyStopping", monitor="loss", config={"patience": 3})
            for epoch in range(4):
                run.log_epoch(epoch, {"loss": 1 / (epoch + 1)})
                run.log({"batch_loss": 1.0}, step=epoch)
                policy.decide("improved", epoch=epoch, reason="better")
            run.log_checkpoint(file, epoch=3, metrics={"loss": 0.25})


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Serve one database to all tests that leave it as it is."""
    database = tmp_path_factory.mktemp("access") / "runs.db"
    record(database)
    with serving(database) as served:
        yield served


def stranger(page: Page, **options: object) -> httpx.Client:
    """Return a client that has no key."""
    return httpx.Client(base_url=page.origin, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1:1", "127.0.0.1.evil.example:{port}", "",
     "a@127.0.0.1:{port}", "localhost:{port}/x", "169.254.0.1:{port}"],
)  # fmt: skip
@pytest.mark.parametrize(
    "path", ["/", "/static/style.css", "/api/v1/runs", "/api/v1/events", "/?token=x"]
)
def test_a_foreign_host_is_refused_on_every_path(page: Page, host: str, path: str) -> None:
    named = host.format(port=page.server.port)
    answer = page.client.get(path, headers={"host": named})
    assert answer.status_code in (400, 403)
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_loopback_has_its_names(page: Page, name: str) -> None:
    answer = page.client.get("/api/v1/info", headers={"host": f"{name}:{page.server.port}"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "path", [*(f"/api/v1{read}" for read in READS), "/api/v1/openapi.json", *PAGES]
)
def test_nothing_is_read_without_the_cookie(page: Page, path: str) -> None:
    with stranger(page) as client:
        answer = client.get(path)
    assert answer.status_code == 401
    assert "tracker ui" in answer.text


def test_a_link_opens_once(page: Page) -> None:
    link = page.link("/runs/a")
    with stranger(page) as client:
        first = client.get(link)
        assert (first.status_code, first.headers["location"]) == (303, "/runs/a")
        cookie = first.headers["set-cookie"]
        assert cookie.startswith(f"tracker-{page.server.port}=")
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    with stranger(page) as client:
        replayed = client.get(link)
        assert replayed.status_code == 403
        assert "set-cookie" not in replayed.headers


def test_a_used_link_is_replaced_by_a_new_one() -> None:
    given: list[str] = []
    keys = Keys(1, used=given.append)
    key = keys.link_key()
    assert keys.exchange(key) and keys.exchange(key) is None
    assert len(given) == 1 and keys.exchange(given[0])


@pytest.mark.parametrize("path", ["//evil.example", "///evil.example/x"])
def test_a_link_leads_to_no_other_server(page: Page, path: str) -> None:
    with stranger(page) as client:
        key = page.server.keys.link_key()
        answer = client.get(
            httpx.URL(page.origin).copy_with(raw_path=f"{path}?token={key}".encode())
        )
        assert answer.headers["location"].startswith("/")
        assert not answer.headers["location"].startswith("//")


WRITES = [
    ("PATCH", "/runs/a", {"note": "x"}),
    ("POST", "/deletion", {"runs": ["a"]}),
    ("POST", "/verify", {}),
    ("PUT", "/checkpoints/a/pin", {"pinned": True}),
]


@pytest.mark.parametrize(("method", "path", "data"), WRITES)
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
    ids=str,
)
def test_a_foreign_origin_changes_nothing(
    page: Page, method: str, path: str, data: object, headers: dict[str, str]
) -> None:
    assert page.send(method, path, data, **headers).status_code == 403
    assert page.get("/runs/a").json()["run"]["note"] is None


def test_a_write_without_an_origin_is_refused(page: Page) -> None:
    answer = page.client.patch("/api/v1/runs/a", json={"note": "x"})
    assert answer.status_code == 403


def test_another_page_may_not_read_the_answer(page: Page) -> None:
    answer = page.client.get("/api/v1/info", headers={"origin": "http://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    policy = answer.headers["content-security-policy"]
    assert (
        "default-src 'self'" in policy
        and "unsafe" not in policy
        and "frame-ancestors 'none'" in policy
    )


def test_a_preflight_gets_no_permission(page: Page) -> None:
    asked = {"origin": "http://evil.example", "access-control-request-method": "PATCH"}
    answer = page.client.options("/api/v1/runs/a", headers=asked)
    assert answer.status_code in (403, 405)
    assert "access-control-allow-origin" not in answer.headers


UPWARDS = (
    "../../../etc/passwd",
    "..%2f..%2f..%2fetc/passwd",
    "%2e%2e/%2e%2e/etc/passwd",
    "..\\..\\x",
    "/etc/passwd",
)


@pytest.mark.parametrize("above", UPWARDS)
@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/vendor/",
        "/runs/",
        "/experiments/",
        "/api/v1/runs/",
        "/api/v1/checkpoints/",
        "/",
    ],
)
def test_no_path_leads_out(page: Page, path: str, above: str) -> None:
    url = httpx.URL(page.origin).copy_with(raw_path=f"{path}{above}".encode())
    answer = page.client.get(url)
    assert answer.status_code in (400, 404, 405)
    assert "root:" not in answer.text


def test_a_run_of_such_a_name_is_still_found_by_its_id(page: Page) -> None:
    run = tracker.start_run("../../etc", "../../passwd", database=page.server.location.path)
    run.finish()
    assert page.get(f"/runs/{run.id}").json()["run"]["name"] == "../../passwd"


def test_names_are_data_never_markup(page: Page) -> None:
    Path("f").mkdir()
    file = Path("f/<img src=x onerror=alert(1)>.pt")
    file.write_bytes(b"1")
    with tracker.start_run(
        SCRIPT,
        SCRIPT,
        params={SCRIPT: SCRIPT},
        tags={SCRIPT: SCRIPT},
        database=page.server.location.path,
    ) as run:
        run.log_epoch(0, {SCRIPT: 1.0})
        run.log({SCRIPT: 1.0}, step=0)
        run.log_checkpoint(file, epoch=0)
    for path in ("/runs", f"/runs/{run.id}", f"/runs/{run.id}/epochs", "/checkpoints"):
        answer = page.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
    # The page itself is the same bytes whatever was recorded.
    start = page.client.get("/")
    assert SCRIPT not in start.text
    assert page.client.get(f"/runs/{run.id}").content == start.content


def test_an_error_shows_markup_as_text(page: Page) -> None:
    answer = page.get("/runs/" + SCRIPT.replace("/", ""))
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"


def test_another_address_needs_the_key_as_well(folder: Path) -> None:
    record()
    with serving(host="0.0.0.0") as page, stranger(page) as client:
        assert client.get("/").status_code == 401
        assert client.get("/api/v1/runs").status_code == 401
        by_name = {"host": f"{socket.gethostname()}:{page.server.port}"}
        assert client.get("/api/v1/runs", headers=by_name).status_code == 401
        assert (
            client.get("/", headers={"host": f"evil.example:{page.server.port}"}).status_code == 403
        )
        assert page.get("/runs").status_code == 200


def test_read_only_refuses_every_change(folder: Path) -> None:
    record()
    with serving(read_only=True) as page:
        for method, path, data in WRITES:
            answer = page.send(method, path, data)
            assert answer.status_code == 403
            assert "--read-only" in answer.text
        assert page.get("/info").json()["read_only"] is True


def test_a_script_asks_and_changes_with_a_key_of_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record()
    monkeypatch.setenv(UI_TOKEN, "s3cret")
    with serving() as page, stranger(page) as client:
        client.headers["authorization"] = "Bearer s3cret"
        assert client.get("/api/v1/runs").status_code == 200
        assert client.patch("/api/v1/runs/a", json={"note": "x"}).status_code == 200
        evil = {"origin": "http://evil.example"}
        assert client.patch("/api/v1/runs/a", json={"note": "y"}, headers=evil).status_code == 403
        client.headers["authorization"] = "Bearer other"
        assert client.get("/api/v1/runs").status_code == 401


@pytest.mark.parametrize("secret", ["", "Bearer", "Bearer none"])
def test_without_such_a_key_an_empty_one_opens_nothing(page: Page, secret: str) -> None:
    with stranger(page, headers={"authorization": secret}) as client:
        assert client.get("/api/v1/runs").status_code == 401


def everything() -> dict[str, object]:
    """Return what stands in the folder: a hash of each file, and when it was changed."""
    return {
        str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(Path().rglob("*"))
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


def test_reading_never_writes(folder: Path) -> None:
    record()
    with serving() as page:
        before = everything()
        for path in READS:
            assert page.client.get(f"/api/v1{path}").status_code == 200, path
        for path in PAGES:
            page.client.get(path)
        assert everything() == before
        assert not Path(".tracker/tracker.db-wal").stat().st_size


def test_reading_creates_no_database(folder: Path) -> None:
    with serving() as page:
        for path in ("/info", "/runs", "/groups?by=status", "/fields", "/waste", "/checkpoints"):
            assert page.client.get(f"/api/v1{path}").status_code == 200, path
        assert page.get("/runs/a").status_code == 404
    assert list(folder.iterdir()) == []
