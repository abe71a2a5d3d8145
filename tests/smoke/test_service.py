"""The service after `make pipeline`: clients with random requests, and a user of the API page."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.request import urlopen

import pytest
from playwright.sync_api import Route, expect, sync_playwright
from repos import Repo
from servers import SECONDS, running

CASES = int(os.environ.get("CASES", "1000"))
REQUESTS = 100_000
GROWTH = 20 * 2**20
"""Bytes that the service may grow by in the second half of the requests, under 420 per request."""
PUBLIC = "http://models.example.com/team/late-flights"
CONFIG = Path(__file__).with_name("schemathesis.toml")
OTHER = """
import importlib, sys
from types import SimpleNamespace

kept = []

async def predict(rows, size, request, *, alone):
    BODY

serving = lambda name: importlib.import_module(f"{sys.argv[1]}.mlops.serving.{name}")
online = SimpleNamespace(online=serving("online_features").Online())
app = serving("app").routes(
    SimpleNamespace(
        predict=predict, lookups=online, derivation=None,
        log=serving("prediction_log").Log(None, "1"),
    ),
    {"name": "other", "version": "1", "digest": "0"},
)
serving("server").serve(app, serving("server").listen("127.0.0.1", int(sys.argv[2][5:])))
"""
"""The service with another model, which runs BODY for every request."""


@pytest.fixture(scope="module")
def address(trained: Repo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of `make serve` on a free port."""
    log = tmp_path_factory.mktemp("service") / "log"
    with running(trained, log, "/readyz", "make", "serve") as url:
        yield url


def _attack(url: str, cases: int, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Send requests that the API's schema allows and requests that it forbids.

    Schemathesis writes its cache to `folder`.
    """
    done = subprocess.run(
        [
            "schemathesis", "--no-color", "--config-file", str(CONFIG),
            "run", f"{url}/openapi.json", "--seed", "1", "--max-examples", str(cases),
            "--generation-database", "none",
        ],
        cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    print(done.stdout)
    return done


def test_every_response_matches_the_schema(address: str, whole: bool, tmp_path: Path) -> None:
    """The service never responds with 5xx, nor with a status or body missing from its schema."""
    assert _attack(address, CASES if whole else CASES // 10, tmp_path).returncode == 0


@pytest.mark.usefixtures("once")
def test_mlflows_ui_ends_with_the_command(trained: Repo, tmp_path: Path) -> None:
    """MLflow's workers end too; the service and the dashboard are stopped in the same way."""
    with running(trained, tmp_path / "log", "/health", "make", "ui"):
        pass


@pytest.mark.usefixtures("once")
def test_a_failing_service_is_detected(trained: Repo, tmp_path: Path) -> None:
    with _other(trained, tmp_path / "log", "raise RuntimeError") as url:
        done = _attack(url, 10, tmp_path)
    assert done.returncode == 1
    assert "Server error" in done.stdout


def _other(repo: Repo, log: Path, body: str) -> AbstractContextManager[str]:
    package = next(repo.folder.glob("src/*/mlops")).parent.name
    python = str(repo.folder / ".venv" / "bin" / "python")
    return running(repo, log, "/readyz", python, "-c", OTHER.replace("BODY", body), package)


@pytest.mark.usefixtures("once")
def test_documented_metrics_exist(address: str, root: Path) -> None:
    with urlopen(f"{address}/metrics") as page:
        exported = set(re.findall(r"# TYPE (mlops_\w+)", page.read().decode()))
    texts = [root / "README.md", root / "template/README.md.jinja", *root.glob("docs/**/*.md")]
    named = {name for text in texts for name in re.findall(r"\bmlops_\w+", text.read_text())}
    assert named
    assert named <= exported


@pytest.mark.usefixtures("once")
def test_many_requests_do_not_leak_memory(
    address: str, trained: Repo, need: Callable[[str], str], tmp_path: Path
) -> None:
    wrk = need("wrk")
    assert _grown(wrk, address, REQUESTS, tmp_path) < GROWTH
    with _other(trained, tmp_path / "log", "kept.append(bytearray(4_000)); return rows") as url:
        assert _grown(wrk, url, REQUESTS // 4, tmp_path) > GROWTH


def _grown(wrk: str, url: str, requests: int, folder: Path) -> float:
    """Return the growth in bytes during the second half of the requests; half are refused."""
    with urlopen(f"{url}/openapi.json") as page:
        post = json.load(page)["paths"]["/v1/predict"]["post"]
    schema = post["requestBody"]["content"]["application/json"]["schema"]
    (example,) = schema["properties"]["rows"]["items"]["examples"]
    rows = [example, {**example, "surprise": 1}, example, {name: [] for name in example}]
    bodies = ", ".join(f"[==[{json.dumps({'rows': [row]})}]==]" for row in rows)
    script = folder / "load.lua"
    script.write_text(
        f"local bodies, index = {{{bodies}}}, 0\n"
        "function request()\n"
        "  index = index % #bodies + 1\n"
        '  return wrk.format("POST", nil, nil, bodies[index])\n'
        "end\n"
    )
    command = [wrk, "-t1", "-c32", "-d2", "-s", str(script), f"{url}/v1/predict"]
    before, sizes = _metric(url, "mlops_requests_total"), []
    while (sent := _metric(url, "mlops_requests_total") - before) < requests:
        if sent >= requests / 2:
            sizes.append(_metric(url, "process_resident_memory_bytes"))
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return _metric(url, "process_resident_memory_bytes") - sizes[0]


def _metric(url: str, name: str) -> float:
    with urlopen(f"{url}/metrics") as page:
        lines = page.read().decode().splitlines()
    samples = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(float(line.rsplit(" ", 1)[1]) for line in samples)


@pytest.mark.usefixtures("once")
def test_the_api_page_needs_no_network_and_its_example_works(
    address: str,
    trained: Repo,
    need: Callable[[str], str],
    pictures: Callable[..., None],
) -> None:
    """Use the page behind a gateway that strips a path prefix, as the chart's route may."""
    registered = json.loads((trained.folder / "reports" / "registered.json").read_text())
    external: list[str] = []

    def gateway(route: Route) -> None:
        url = route.request.url
        if url.startswith("data:"):
            route.continue_()
        elif url.startswith(f"{PUBLIC}/"):
            route.fulfill(response=route.fetch(url=url.replace(PUBLIC, address), max_redirects=0))
        else:
            external.append(url)
            route.abort()

    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=need("chromium"))
        page = browser.new_page(viewport={"width": 1200, "height": 1500})
        page.set_default_timeout(SECONDS * 1000)
        expect.set_options(timeout=SECONDS * 1000)
        page.route("**/*", gateway)
        page.goto(f"{PUBLIC}/docs")
        page.get_by_role("button", name="/v1/predict").first.click()
        page.get_by_role("button", name="Try it out").click()
        page.get_by_role("button", name="Execute").click()
        response = page.locator(".live-responses-table .response").first
        expect(response.locator(".response-col_status")).to_contain_text("200")
        body = response.locator(".response-col_description")
        expect(body).to_contain_text('"predictions"')
        expect(body).to_contain_text(f'"version": "{registered["version"]}"')
        expect(body).to_contain_text(registered["model_digest"])
        response.scroll_into_view_if_needed()
        pictures(page, "service-api")
        browser.close()
    assert external == []
