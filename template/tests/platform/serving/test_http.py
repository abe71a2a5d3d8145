"""HTTP requests of any kind, valid or not, on a real socket."""

import asyncio
import codecs
import gzip
import json
import shutil
import socket
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn

BODY = b'{"rows": [{}]}'
HEAD = b"POST /v1/predict HTTP/1.1\r\nhost: a\r\n"
LENGTH = b"content-length: %d\r\n" % len(BODY)
OFFER = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"
WEBSOCKET = b"connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"
CHUNKS = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:3], BODY[3:], b""))


class Service:
    """The service of a model that accepts any row; clearing `hold` delays its responses."""

    def __init__(self, mlops: Any) -> None:
        """Start it on a free port."""
        self.hold = threading.Event()
        self.hold.set()
        names = mlops("serving.schema").columns()
        online = SimpleNamespace(ttl=dict.fromkeys(names), keys={})  # makes all inputs optional
        predictor = SimpleNamespace(
            predict=self._predict,
            lookups=SimpleNamespace(online=online),
            derivation=None,
            log=mlops("serving.prediction_log").Log(None, "1"),
        )
        app = mlops("serving.app").routes(predictor, {"name": "m", "version": "1", "digest": "0"})
        listening = mlops("serving.server").listen("127.0.0.1", 0)
        self.address = listening.getsockname()
        self.url = "http://{}:{}".format(*self.address)
        self.server = uvicorn.Server(mlops("serving.server").config(app))
        self._thread = threading.Thread(target=self.server.run, args=([listening],))
        self._thread.start()
        while not self.server.started:
            time.sleep(0.01)

    async def _predict(self, rows: list[Any], *_: Any, **__: Any) -> list[dict[str, float]]:
        while not self.hold.is_set():
            await asyncio.sleep(0.01)
        return [{"score": 0.5} for _ in rows]

    def stop(self) -> None:
        """Stop it as a signal does."""
        self.hold.set()
        self.server.should_exit = True
        self._thread.join()

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=30)


@pytest.fixture(scope="module")
def service(mlops: Any) -> Iterator[Service]:
    started = Service(mlops)
    yield started
    started.stop()


@pytest.fixture
def bounds(mlops: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that changes limits of a module of the service."""

    def change(module: str, **bounds: Any) -> None:
        for name, value in bounds.items():
            monkeypatch.setattr(mlops(f"serving.{module}"), name, value)

    return change


def answers(connection: socket.socket, *pieces: bytes) -> list[tuple[int, Any]]:
    """Send each piece in its own write; return all responses until the server closes."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in pieces:
        connection.sendall(piece)
        time.sleep(0.02)
    received = b""
    while part := connection.recv(65_536):
        received += part
    responses = []
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        if head == b"HTTP/1.1 100 Continue":
            continue
        headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        assert headers[b"content-type"] == b"application/json"
        length = int(headers[b"content-length"])
        responses.append((int(head.split(b" ")[1]), json.loads(received[:length])))
        received = received[length:]
    return responses


SENT: dict[str, tuple[list[bytes], int]] = {
    "at once": ([HEAD + LENGTH + b"\r\n" + BODY], 1),
    "head and body": ([HEAD + LENGTH + b"\r\n", BODY], 1),
    "pieces": ([HEAD[:9], HEAD[9:], LENGTH, b"\r\n", BODY[:5], BODY[5:]], 1),
    "chunks": ([HEAD + CHUNKED + b"\r\n" + CHUNKS], 1),
    "Expect": ([HEAD + LENGTH + b"expect: 100-continue\r\n\r\n", BODY], 1),
    "h2c": ([HEAD + LENGTH + OFFER + b"\r\n" + BODY], 1),
    "h2c, head and body": ([HEAD + LENGTH + OFFER + b"\r\n", BODY], 1),
    "h2c, chunks": ([HEAD + CHUNKED + OFFER + b"\r\n" + CHUNKS[:9], CHUNKS[9:]], 1),
    "h2c, Expect": ([HEAD + LENGTH + OFFER + b"expect: 100-continue\r\n\r\n", BODY], 1),
    "h2c without a body": ([b"GET /healthz HTTP/1.1\r\nhost: a\r\n" + OFFER + b"\r\n"], 1),
    "websocket": ([HEAD + LENGTH + WEBSOCKET + b"\r\n" + BODY], 1),
    "kept": ([HEAD + LENGTH + OFFER + b"\r\n" + BODY, HEAD + LENGTH + OFFER + b"\r\n" + BODY], 2),
    "pipelined": ([(HEAD + LENGTH + b"\r\n" + BODY) * 20], 20),
    "pipelined h2c": ([(HEAD + LENGTH + OFFER + b"\r\n" + BODY) * 20], 20),
    "no version": ([b"POST /v1/predict HTTP/1.0\r\n" + LENGTH + b"\r\n" + BODY], 1),
}


@pytest.mark.parametrize("sent", SENT.values(), ids=SENT)
def test_each_way_to_send_a_request_is_answered(
    service: Service, sent: tuple[list[bytes], int]
) -> None:
    pieces, count = sent
    last = b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    kept = b"HTTP/1.0" not in pieces[0]
    with service.connect() as connection:
        responses = answers(connection, *pieces, *([last] if kept else []))
    assert [status for status, _ in responses] == [200] * (count + kept)


@pytest.mark.parametrize("words", [["--http2"], ["--http2", "-H", "Transfer-Encoding: chunked"]])
def test_curl_may_offer_http2(service: Service, words: list[str]) -> None:
    if not (curl := shutil.which("curl")):
        pytest.skip("curl is not on this machine")
    command = [curl, "-sS", "--fail", *words, "-d", BODY.decode(), f"{service.url}/v1/predict"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["predictions"] == [{"score": 0.5}], done.stderr


NO_HTTP = {
    "words": b"what is this\r\n\r\n",
    "a tunnel": b"CONNECT a:1 HTTP/1.1\r\n\r\n",
    "two lengths": HEAD + LENGTH + CHUNKED + b"\r\n" + CHUNKS,
    "no chunk": HEAD + CHUNKED + b"\r\nxyz\r\n",
    "a path that is not ASCII": b"GET /\xff HTTP/1.1\r\nhost: a\r\n\r\n",
}


@pytest.mark.parametrize("sent", NO_HTTP.values(), ids=NO_HTTP)
def test_invalid_http_is_refused_with_a_json_error(service: Service, sent: bytes) -> None:
    with service.connect() as connection:
        ((status, content),) = answers(connection, sent)
    assert status == 400
    assert content["errors"][0]["message"]


def test_requests_before_a_bad_one_are_answered(service: Service) -> None:
    with service.connect() as connection:
        responses = answers(connection, (HEAD + LENGTH + b"\r\n" + BODY) * 2 + b"no http\r\n\r\n")
    assert [status for status, _ in responses] == [200, 200]


@pytest.mark.parametrize("pieces", [1, 10])
@pytest.mark.parametrize("kind", ["one line", "many lines", "the path"])
def test_a_head_is_bounded(
    mlops: Any, service: Service, bounds: Callable[..., None], kind: str, pieces: int
) -> None:
    bounds("connection", RECEIVE_SECONDS=120)  # on a busy machine it may take seconds
    size = mlops("serving.connection").MAX_HEAD + 1
    first, more = {
        "one line": (b"GET /healthz HTTP/1.1\r\na: ", b"a" * size),
        "many lines": (b"GET /healthz HTTP/1.1\r\n", b"a: a\r\n" * (size // 2)),
        "the path": (b"GET /", b"a" * size),
    }[kind]
    end = b" HTTP/1.1\r\n\r\n" if kind == "the path" else b"\r\n\r\n"
    step = len(more) // pieces + 1
    parts = [more[at : at + step] for at in range(0, len(more), step)]
    with service.connect() as connection:
        ((status, _),) = answers(connection, first, *parts, *([end] if pieces == 1 else []))
    assert status == 431


SLOW = {
    "nothing": (b"", []),
    "empty lines": (b"\r\n", []),
    "part of a head": (HEAD, [408]),
    "part of the next head": (HEAD + LENGTH + b"\r\n" + BODY + HEAD, [200, 408]),
    "a body that nobody reads": (b"GET /healthz HTTP/1.1\r\ncontent-length: 9\r\n\r\n1", [200]),
    "part of a body": (HEAD + LENGTH + b"\r\n{", [408]),
}


@pytest.mark.parametrize("slow", SLOW.values(), ids=SLOW)
def test_a_slow_client_is_disconnected(
    service: Service, bounds: Callable[..., None], slow: tuple[bytes, list[int]]
) -> None:
    bounds("connection", RECEIVE_SECONDS=0.3, LINGER_SECONDS=0.1)
    bounds("parsing", BODY_SECONDS=0.2)
    sent, expected = slow
    with service.connect() as connection:
        assert [status for status, _ in answers(connection, sent)] == expected
    # Each byte arrives in time, the whole request does not.
    with service.connect() as connection:
        _trickle(connection, b"\r\n" if expected == [] else b"a")


def _trickle(connection: socket.socket, byte: bytes) -> None:
    """Send a byte repeatedly until the server closes the connection."""
    for _ in range(500):
        try:
            connection.sendall(byte)
        except OSError:
            return
        time.sleep(0.02)
    raise AssertionError("the connection is still open")


def test_idle_connections_make_room_and_the_number_is_bounded(
    service: Service, bounds: Callable[..., None]
) -> None:
    bounds("connection", MAX_CONNECTIONS=8)
    with ExitStack() as opened:
        for _ in range(40):
            opened.enter_context(service.connect())
        assert httpx.get(f"{service.url}/healthz").status_code == 200
        assert len(service.server.server_state.connections) <= 8
    _until(lambda: not service.server.server_state.connections)
    with _waiting_connections(service, 8) as waiting:
        refused = httpx.get(f"{service.url}/healthz")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        service.hold.set()
        assert [answers(each)[0][0] for each in waiting] == [200] * 8


@contextmanager
def _waiting_connections(service: Service, count: int) -> Iterator[list[socket.socket]]:
    """Keep `count` connections waiting for the model."""
    service.hold.clear()
    try:
        with ExitStack() as opened:
            waiting = [opened.enter_context(service.connect()) for _ in range(count)]
            for connection in waiting:
                connection.sendall(HEAD + LENGTH + b"connection: close\r\n\r\n" + BODY)
            _until(lambda: len(service.server.server_state.tasks) == count)
            yield waiting
    finally:
        service.hold.set()


def _until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_pipelined_requests_of_a_connection_are_bounded(service: Service) -> None:
    connections: Any = service.server.server_state.connections
    _until(lambda: not connections)
    service.hold.clear()
    try:
        with service.connect() as connection:
            connection.sendall((HEAD + LENGTH + b"\r\n" + BODY) * 500)
            _until(lambda: bool(service.server.server_state.tasks))
            (open_,) = connections
            assert len(open_.pipeline) < 100
            service.hold.set()
            assert {status for status, _ in answers(connection)} == {200}
    finally:
        service.hold.set()


def test_all_bodies_together_are_bounded(service: Service, bounds: Callable[..., None]) -> None:
    bounds("parsing", MAX_BODIES=3 * len(BODY))
    with _waiting_connections(service, 3) as waiting:
        refused = httpx.post(f"{service.url}/v1/predict", content=BODY)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        service.hold.set()
        assert [answers(each)[0][0] for each in waiting] == [200] * 3
    assert httpx.post(f"{service.url}/v1/predict", content=BODY).status_code == 200


BOMB = gzip.compress(b" " * 100_000_000)
ENCODED: dict[str, tuple[dict[str, str], bytes, int]] = {
    "gzip": ({"content-encoding": "gzip"}, gzip.compress(BODY), 200),
    "gzip, two parts": (
        {"content-encoding": "GZIP"},
        gzip.compress(BODY[:5]) + gzip.compress(BODY[5:]),
        200,
    ),
    "deflate": ({"content-encoding": "deflate"}, zlib.compress(BODY), 200),
    "identity": ({"content-encoding": "identity"}, BODY, 200),
    "no gzip": ({"content-encoding": "gzip"}, BODY, 400),
    "half of gzip": ({"content-encoding": "gzip"}, gzip.compress(BODY)[:-9], 400),
    "a bomb": ({"content-encoding": "gzip"}, BOMB, 413),
    "br": ({"content-encoding": "br"}, BODY, 415),
    "gzip twice": ({"content-encoding": "gzip, gzip"}, gzip.compress(gzip.compress(BODY)), 415),
    "no type": ({}, BODY, 200),
    "JSON": ({"content-type": "application/json; charset=UTF-8"}, BODY, 200),
    "JSON of a kind": ({"content-type": "application/vnd.rows+json"}, BODY, 200),
    "curl's type": ({"content-type": "application/x-www-form-urlencoded"}, BODY, 200),
    "latin 1": ({"content-type": 'application/json; charset="ISO-8859-1"'}, BODY, 200),
    "UTF-16": ({"content-type": "text/json; charset=utf-16"}, BODY.decode().encode("utf-16"), 200),
    "no UTF-16": ({"content-type": "text/json; charset=utf-16"}, BODY + b"x", 400),
    "a charset": ({"content-type": "application/json; charset=idna"}, BODY, 415),
    "CSV": ({"content-type": "text/csv"}, b"a,b", 415),
    "a form": ({"content-type": "multipart/form-data; boundary=a"}, b"--a--", 415),
    "a byte order mark": ({}, codecs.BOM_UTF8 + BODY, 200),
}


@pytest.mark.parametrize("encoded", ENCODED.values(), ids=ENCODED)
def test_an_encoding_is_decoded_or_refused_by_name(
    service: Service, encoded: tuple[dict[str, str], bytes, int]
) -> None:
    headers, content, status = encoded
    answer = httpx.post(f"{service.url}/v1/predict", content=content, headers=headers)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.json()["errors"][0]["message"]
    if status == 415:
        message, sent = answer.json()["errors"][0]["message"], next(iter(headers.values()))
        assert sent.split(";")[0] in message or sent.split("=")[-1] in message
        assert answer.headers["accept-encoding"] == "gzip, deflate"


def test_text_of_any_charset_is_decoded(mlops: Any) -> None:
    body = mlops("serving.parsing")
    sent = '{"é": 1}'
    for charset in ("iso-8859-1", "windows-1252", "utf-16", "utf-8"):
        kind = f"application/json; charset={charset}".encode()
        assert body._utf8(sent.encode(charset), kind).decode() == sent


@pytest.mark.parametrize(
    "path",
    ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/docs/assets/favicon.png"],
)
def test_head_is_get_without_its_body(service: Service, path: str) -> None:
    get, head = (httpx.request(method, service.url + path) for method in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]


OTHER_PATHS = {
    ("GET", "/nothing"): 404,
    ("GET", "/healthz/"): 404,
    ("GET", "/docs/assets/nothing"): 404,
    ("GET", "/docs/assets/../../app.py"): 404,
    ("GET", "/v1/predict"): 405,
    ("HEAD", "/v1/predict"): 405,
    ("OPTIONS", "/v1/predict"): 405,
    ("DELETE", "/healthz"): 405,
    ("POST", "/v1/predict/"): 200,
}


@pytest.mark.parametrize(("request_line", "status"), OTHER_PATHS.items(), ids=str)
def test_errors_of_other_paths_and_methods_have_the_same_form(
    service: Service, request_line: tuple[str, str], status: int
) -> None:
    method, path = request_line
    forwarded = {"x-forwarded-proto": "https", "x-forwarded-host": "evil.example.com"}
    answer = httpx.request(method, service.url + path, content=BODY, headers=forwarded)
    assert answer.status_code == status
    if status == 405:
        assert answer.headers["allow"]
    if status != 200 and method != "HEAD":
        assert answer.json()["errors"][0].keys() == {"where", "message"}


def test_the_docs_page_works_under_any_prefix(service: Service) -> None:
    """Its own URLs have no scheme or host, and do not start at the root."""
    start = httpx.get(service.url)
    assert start.headers["location"] == "docs"
    page = httpx.get(f"{service.url}/docs").text
    own = [part.split('"')[0] for word in ('href="', 'src="') for part in page.split(word)[1:]]
    own.append(page.split("url: '")[1].split("'")[0])
    assert len(own) == 4
    for address in own:
        assert not address.startswith(("/", "http"))
        assert httpx.get(f"{service.url}/{address}").status_code == 200
    assert httpx.get(f"{service.url}/openapi.json").json()["servers"] == [{"url": "."}]
