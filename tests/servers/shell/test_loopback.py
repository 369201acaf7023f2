"""One loopback for all commands of a session, on either rung, as root and as an ordinary user; and nothing beyond it."""

from __future__ import annotations

import shutil
import socket

import pytest

from tests.servers.shell.test_containment import Place, place

__all__ = ["place"]

SERVE = (
    "python3 -u -c \"import http.server as h; s = h.ThreadingHTTPServer(('{host}', {port}), h.SimpleHTTPRequestHandler); "
    "print('ready', flush=True); s.serve_forever()\""
)
FETCH = "python3 -c \"import urllib.request as u; print(u.urlopen('http://{host}:{port}/{name}', timeout=60).read().decode())\""


def started(place: Place, command: str) -> str:
    text = place.server.call("run_command", command=command, wait_s=0.2).text
    job = text.partition("job=")[2].split()[0].rstrip("·")
    for _ in range(120):
        if "ready" in text:
            return job
        text += place.server.call("job", id=job, action="wait", wait_s=0.5).text
    raise AssertionError(text)


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 8123), ("0.0.0.0", 8124), ("localhost", 8125)])
def test_a_server_started_as_a_job_is_reached_by_the_next_command(place: Place, host: str, port: int) -> None:
    (place.root / "page.txt").write_text("served here\n", encoding="utf-8")
    job = started(place, SERVE.format(host=host, port=port))
    try:
        asked = FETCH.format(host="127.0.0.1" if host == "0.0.0.0" else host, port=port, name="page.txt")
        answer = place.run(asked)
        assert "served here" in answer.text, answer.text
        if host != "localhost" and shutil.which(
            "curl"
        ):  # no rule names it: of its own servers alone it may ask
            curl = place.server.call("run_command", command=f"curl -s http://127.0.0.1:{port}/page.txt")
            assert "served here" in curl.text, curl.text
    finally:
        place.server.call("job", id=job, action="kill")
    assert "served here" not in place.run(FETCH.format(host="127.0.0.1", port=port, name="page.txt")).text


def test_the_loopback_is_not_the_machines(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as ours:
        port = ours.getsockname()[1]
        job = started(place, SERVE.format(host="127.0.0.1", port=port))  # the same port, twice
        try:
            assert "exit=0" in place.run(FETCH.format(host="127.0.0.1", port=port, name="")).text
            with socket.create_server(("127.0.0.1", 0)) as other:
                other.settimeout(0.2)
                refused = place.run(FETCH.format(host="127.0.0.1", port=other.getsockname()[1], name=""))
                assert "exit=1" in refused.text
                with pytest.raises(TimeoutError):
                    other.accept()
        finally:
            place.server.call("job", id=job, action="kill")


def test_sockets_of_the_file_system_and_of_the_kernel_stay_closed(place: Place) -> None:
    result = place.python(
        "import socket\n"
        "for family in (socket.AF_NETLINK, socket.AF_PACKET, socket.AF_UNIX):\n"
        "    try:\n        socket.socket(family, socket.SOCK_RAW if family != socket.AF_UNIX else socket.SOCK_STREAM)\n"
        "        print('open', family)\n"
        "    except OSError as e:\n        print('closed', family)\n"
        "try:\n    socket.create_connection(('1.1.1.1', 80), 2)\n    print('REACHED')\n"
        "except OSError as e:\n    print('no way out', e)\n"
    )
    assert "no way out" in result.text and "REACHED" not in result.text
    if place.level == "landlock":
        assert "open" not in result.text, result.text


def test_commands_that_run_at_once_share_it(place: Place) -> None:
    job = started(place, SERVE.format(host="127.0.0.1", port=8130))
    (place.root / "twice.sh").write_text(
        "for i in 1 2 3; do "
        + FETCH.format(host="127.0.0.1", port=8130, name="twice.sh")
        + " | wc -l & done; wait\n"
    )
    assert place.run("bash ./twice.sh").text.count("\n2") == 3
    place.server.call("job", id=job, action="kill")


def test_the_loopback_of_ipv6_is_shared_as_well(place: Place) -> None:
    (place.root / "six.py").write_text(
        "import http.server as h, socket\n"
        "class Six(h.ThreadingHTTPServer):\n    address_family = socket.AF_INET6\n"
        "s = Six(('::1', 8131), h.SimpleHTTPRequestHandler)\nprint('ready', flush=True)\ns.serve_forever()\n",
        encoding="utf-8",
    )
    job = started(place, "python3 six.py")
    try:
        assert "class Six" in place.run(FETCH.format(host="[::1]", port=8131, name="six.py")).text
    finally:
        place.server.call("job", id=job, action="kill")
