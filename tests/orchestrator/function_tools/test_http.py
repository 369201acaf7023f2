"""R77, R78: what is fetched, what never is, and searching with an engine of one's own."""

from __future__ import annotations

import ipaddress
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from orchestrator.errors import ConfigError
from orchestrator.function_tools.addresses import is_public
from orchestrator.function_tools.http import fetch, http_fetch
from orchestrator.function_tools.search import searxng, web_search


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.port = self.server_address[1]
        self.seen: list[tuple[str, str, dict[str, str], str]] = []
        self.wait_s = "0"  # that a busy answer asks for
        self.busy = 0  # answers of 503 before the next one is an answer
        self.url = f"http://127.0.0.1:{self.port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.server.seen.append((self.command, self.path, headers, body))
        if self.server.busy:
            self.server.busy -= 1
            return self._answer(503, b"later", **{"retry-after": self.server.wait_s})
        if self.path.startswith("/to?"):
            return self._answer(302, b"", location=self.path[4:])
        if self.path == "/lost":
            return self.connection.close()
        if self.path.startswith("/search?"):
            results = [
                {"title": f"t{n}", "url": f"http://x/{n}", "content": "c", "score": 1} for n in range(9)
            ]
            return self._answer(200, json.dumps({"results": results}).encode())
        if self.path == "/latin":
            return self._answer(
                200, "grün".encode("latin-1"), **{"content-type": "text/plain; charset=latin-1"}
            )
        if self.path == "/long":
            return self._answer(200, b"x" * 100_000)
        return self._answer(200, b"hello")

    do_POST = do_GET

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for key, value in {"content-type": "text/plain", "content-length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def server(running: Server) -> Server:
    running.seen.clear()
    return running


def allowed(**more: Any) -> Any:
    return http_fetch(allow=["127.0.0.0/8"], retry_first_s=0, timeout_s=60, **more)


def test_a_page_is_fetched_with_its_status_and_text(server: Server) -> None:
    said = allowed().execute(url=f"{server.url}/a?b=c").result
    assert said == {"status": 200, "url": f"{server.url}/a?b=c", "type": "text/plain", "text": "hello"}
    assert allowed().execute(url=f"{server.url}/latin").result["text"] == "grün"
    assert server.seen[0][:2] == ("GET", "/a?b=c") and server.seen[0][2]["host"] == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "2130706433", "0x7f000001", "017700000001", "127.1", "0177.0.0.1",
        "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "localhost.", "LOCALHOST", "⑫7.0.0.1",
    ],
)  # fmt: skip
def test_this_machine_is_not_asked_however_it_is_written(host: str, server: Server) -> None:
    outcome = fetch.execute(url=f"http://{host}:{server.port}/")
    assert not outcome.success and not server.seen, outcome


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("::ffff:8.8.8.8", True), ("64:ff9b::808:808", True),
        ("10.0.0.1", False), ("172.16.0.1", False), ("192.168.1.1", False), ("169.254.169.254", False),
        ("100.100.100.200", False), ("168.63.129.16", False), ("192.0.0.192", False), ("0.0.0.0", False),
        ("224.0.0.1", False), ("255.255.255.255", False), ("240.0.0.1", False), ("fd00:ec2::254", False),
        ("fe80::1", False), ("fec0::1", False), ("ff02::1", False), ("::1", False), ("::", False),
        ("::127.0.0.1", False), ("::ffff:169.254.169.254", False), ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False), ("2001:0:7f00:1::", False),
    ],
)  # fmt: skip
def test_public_is_what_the_open_internet_is(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x/", "http://", "no url", "http://a:b@x/", "gopher://x", ""]
)
def test_other_addresses_than_of_the_web_are_refused(url: str) -> None:
    outcome = fetch.execute(url=url)
    assert (
        not outcome.success and "wanted a URL" in (outcome.error or "") or "may hold" in (outcome.error or "")
    )


def test_every_redirect_is_checked(server: Server) -> None:
    there = allowed().execute(url=f"{server.url}/to?/there").result
    assert there["text"] == "hello" and there["url"].endswith("/there")
    inside = allowed().execute(url=f"{server.url}/to?http://169.254.169.254/latest/meta-data/")
    assert "169.254.169.254, which is not on the open internet" in (inside.error or "")
    other = http_fetch(hosts=["127.0.0.1"], allow=["127.0.0.1"]).execute(
        url=f"{server.url}/to?http://localhost/"
    )
    assert "localhost may not be asked; there are 127.0.0.1" in (other.error or "")
    around = allowed().execute(url=f"{server.url}/to?/to?/to?/to?/to?/to?/to?/")
    assert "more than 5 redirects" in (around.error or "")
    assert "wanted a URL" in (allowed().execute(url=f"{server.url}/to?file:///etc/passwd").error or "")


def test_the_address_that_was_checked_is_the_one_that_is_dialled(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["93.184.216.34", "127.0.0.1"])  # a name server that answers otherwise the second time
    asked: list[str] = []
    dialled: list[str] = []

    async def resolve(host: str, port: int, **more: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    async def connect(self: Any, host: str, *rest: Any) -> Any:
        dialled.append(host)
        raise ZeroDivisionError

    monkeypatch.setattr("orchestrator.function_tools.addresses.anyio.getaddrinfo", resolve)
    monkeypatch.setattr("httpcore2.AnyIOBackend.connect_tcp", connect)
    fetch.execute(url="http://rebinding.example/")
    assert dialled == ["93.184.216.34"] and asked == ["rebinding.example"]
    assert (
        "is at 127.0.0.1" in (fetch.execute(url="http://rebinding.example/").error or "")
        and len(dialled) == 1
    )


def test_a_busy_server_is_asked_again_and_a_post_is_not(server: Server) -> None:
    server.busy = 2
    assert allowed(retries=2).execute(url=server.url).result["status"] == 200 and len(server.seen) == 3
    server.seen.clear()
    server.busy = 1
    posted = allowed(methods=("GET", "POST")).execute(url=server.url, method="POST", body='{"a": 1}')
    assert posted.result["status"] == 503 and [one[3] for one in server.seen] == ['{"a": 1}']
    server.seen.clear()
    assert not allowed(retries=1).execute(url=f"{server.url}/lost").success and len(server.seen) == 2


def test_a_wait_that_is_longer_than_the_call_may_take_is_not_begun(server: Server) -> None:
    server.busy, server.wait_s = 1, "1000"
    outcome = http_fetch(allow=["127.0.0.1"], timeout_s=60).execute(url=server.url)
    assert outcome.result["status"] == 503 and len(server.seen) == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"methods": "get"}, "methods: wanted GET, HEAD, POST, PUT, PATCH, DELETE, found 'get'"),
        ({"timeout_s": 0}, "want more than 0"),
        ({"headers": {"key": "a\r\nb: c"}, "hosts": "x"}, "the header 'key' cannot be sent"),
        ({"headers": {"key": "€"}, "hosts": "x"}, "the header 'key' cannot be sent"),
    ],
)
def test_what_cannot_be_is_refused_where_the_tool_is_made(wrong: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        http_fetch(**wrong)


def test_one_host_may_be_given_as_a_text(server: Server) -> None:
    found = http_fetch(hosts="127.0.0.1", allow="127.0.0.1")
    assert found.execute(url=server.url).result["text"] == "hello"
    assert "there are 127.0.0.1" in (found.execute(url="http://example.com/").error or "")


def test_a_body_is_read_no_further_than_its_bound(server: Server) -> None:
    said = allowed(max_bytes=1000).execute(url=f"{server.url}/long").result
    assert said["truncated"] and len(said["text"]) == 1000


def test_methods_and_headers_go_where_they_were_given_for(server: Server) -> None:
    assert "POST is not allowed here" in (fetch.execute(url=server.url, method="POST").error or "")
    with pytest.raises(ConfigError, match="headers are sent to `hosts` alone"):
        http_fetch(headers={"authorization": "Bearer x"})
    keyed = http_fetch(hosts=["127.0.0.1"], allow=["127.0.0.1"], headers={"authorization": "Bearer x"})
    assert keyed.execute(url=server.url).success and server.seen[0][2]["authorization"] == "Bearer x"


@pytest.mark.parametrize("given", [5, [1, 2], None])
def test_an_engine_that_gives_no_results_is_told_in_a_sentence(given: Any) -> None:
    def engine(query: str, count: int) -> Any:
        return given

    outcome = web_search(engine).execute(query="x")
    assert (
        outcome.error
        == "web_search: ValueError: the engine gave no list of results with title, url and snippet"
    )
    with pytest.raises(ConfigError, match=r"wanted a function \(query, count\), found int"):
        web_search(3)  # pyright: ignore[reportArgumentType]


def test_a_search_asks_the_engine_that_was_given(server: Server) -> None:
    found = web_search(searxng(server.url), max_results=3).execute(query="a & b", count=9).result
    assert found == [{"title": f"t{n}", "url": f"http://x/{n}", "snippet": "c"} for n in range(3)]
    assert server.seen[0][1] == "/search?q=a+%26+b&format=json"
    own = web_search(lambda query, count: [{"title": query, "url": "u", "snippet": None}])
    assert own.execute(query="q").result == [{"title": "q", "url": "u", "snippet": None}]
    broken = web_search(lambda query, count: [{}[query]])
    assert broken.execute(query="q").error == "web_search: KeyError: 'q'"
