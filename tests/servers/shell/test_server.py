"""understudy-shell over real stdio: commands, jobs, refusals, and the end of everything it started."""

from __future__ import annotations

import os
import re
import select
import shutil
import socket
import sys
from dataclasses import replace
from pathlib import Path

import anyio
import psutil
import pytest
from mcp.types import ElicitResult

from servers.shell.jobs.gate_runs import close_gates, run_gate
from servers.shell.jobs.shell import open_shell
from servers.shell.policy.rules import BUILT_IN
from tests.disks import disk_at, fill
from tests.processes import alive, own_sleep, until
from tests.stdio import Stdio, as_result, connect, start

pytestmark = pytest.mark.anyio


def body(text: str) -> str:
    """What stands between the fences."""
    found = re.search(r"<<data (\w+) .*?>>\n(.*)<<end \1>>", text, re.DOTALL)
    return found[2] if found else ""


def test_a_command_says_how_it_went_and_what_held_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n", encoding="utf-8")
    with start("shell", str(tmp_path)) as server:
        result = server.call("run_command", command="cat a.txt; exit 3")
    assert re.match(r"exit=3 · \d+\.\d s · sandbox=(bwrap|landlock) net=off\n", result.text)
    assert body(result.text) == "one\ntwo\n" and not result.is_error


def test_argv_reaches_the_program_without_a_shell(tmp_path: Path) -> None:
    with start("shell", str(tmp_path)) as server:
        result = server.call("run_command", argv=["echo", "$HOME; sudo id", "a  b"])
    assert body(result.text) == "$HOME; sudo id a  b\n"


def test_long_output_keeps_head_and_tail_and_says_so(tmp_path: Path) -> None:
    with start("shell", str(tmp_path)) as server:
        result = server.call("run_command", command="seq 1 200000")
    assert "kept" in result.text.splitlines()[0] and "1.29M" in result.text.splitlines()[0]
    assert body(result.text).startswith("1\n2\n") and body(result.text).endswith("199999\n200000\n")
    assert len(result.text.encode()) < 40_000


def test_a_long_command_becomes_a_job_that_can_be_waited_for(tmp_path: Path) -> None:
    with start("shell", str(tmp_path)) as server:
        first = server.call(
            "run_command", command="echo begun; read line; echo got $line", wait_s=0.5, interactive=True
        )
        assert "job=j1" in first.text and "begun" in first.text
        server.call("job", id="j1", action="input", text="this\n")
        last = server.call("job", id="j1", action="wait")
        assert "exit=0" in last.text or "exit=0" in server.call("job", id="j1").text
        again = server.call("job", id="j1")
        listed = server.call("job")
    assert "begun" not in body(last.text)
    assert "exit=0" in again.text and "j1 · exit=0" in listed.text


def test_killing_a_job_leaves_nobody(tmp_path: Path) -> None:
    child, grandchild, own = own_sleep(), own_sleep(), own_sleep()
    script = f"trap '' TERM; (setsid bash -c 'sleep {child} & exec sleep {grandchild}' &); sleep {own}"
    with start("shell", str(tmp_path)) as server:
        server.call("run_command", command=script, wait_s=0)
        until(lambda: alive(child) and alive(grandchild) and alive(own))
        result = server.call("job", id="j1", action="kill")
        assert "survivors=0" in result.text
        assert not alive(child, grandchild, own)


def two_sleeps(server: Stdio) -> tuple[str, str]:
    """The marks of a command that runs on by itself and of one that left its session, both running."""
    away, here = own_sleep(), own_sleep()
    server.call("run_command", command=f"(setsid sleep {away} &); sleep {here}", wait_s=0)
    until(lambda: alive(away) and alive(here))
    return away, here


def test_closing_stdin_ends_a_running_command_and_the_server(tmp_path: Path) -> None:
    server = start("shell", str(tmp_path))
    away, here = own_sleep(), own_sleep()
    command = f"(setsid sleep {away} &); sleep {here}"
    server.send("tools/call", {"name": "run_command", "arguments": {"command": command}})
    until(lambda: alive(away) and alive(here))
    server.close()
    until(lambda: not alive(away, here))


def test_a_server_killed_outright_leaves_nobody(tmp_path: Path) -> None:
    server: Stdio = start("shell", str(tmp_path))
    marks = two_sleeps(server)
    os.kill(server.pid, 9)
    until(lambda: not alive(*marks))
    server.close()


def test_the_fork_server_is_replaced_when_somebody_kills_it(tmp_path: Path) -> None:
    with start("shell", str(tmp_path)) as server:
        mark = own_sleep()
        server.call("run_command", command=f"sleep {mark}", wait_s=0)
        until(lambda: alive(mark))
        for child in psutil.Process(server.pid).children():
            child.kill()
        assert "exit=0" in server.call("run_command", command="true").text
        assert "survivors=0" in server.call("job", id="j1", action="kill").text and not alive(mark)


def test_sigterm_ends_everything_too(tmp_path: Path) -> None:
    server = start("shell", str(tmp_path))
    marks = two_sleeps(server)
    os.kill(server.pid, 15)
    until(lambda: not alive(*marks))
    server.close()


def test_what_wants_a_yes_is_refused_with_the_rule_where_nobody_can_be_asked(tmp_path: Path) -> None:
    (tmp_path / "keep").write_text("x", encoding="utf-8")
    with start("shell", str(tmp_path)) as server:
        result = server.call("run_command", command="rm keep")
        denied = server.call("run_command", command="sudo id")
    assert result.is_error and "rm keep" in result.text and 'allow = ["rm"]' in result.text
    assert denied.is_error and "deny 'sudo'" in denied.text
    assert (tmp_path / "keep").exists()


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_user_is_asked_and_obeyed(tmp_path: Path, mode: str) -> None:
    asked: list[str] = []
    answers = iter(["no", "once", "always"])

    async def answer(_: object, params: object) -> ElicitResult:
        asked.append(params.message)  # type: ignore[attr-defined]
        return ElicitResult(action="accept", content={"run": next(answers)})

    async with connect("shell", str(tmp_path), mode=mode, elicitation_callback=answer) as client:
        with anyio.fail_after(60):
            for expected in ("not run: the user declined", "exit=", "exit=", "exit="):
                result = await client.call_tool("run_command", {"command": "rm -f nothing"})
                assert not result.is_error and result.content[0].text.startswith(expected)
    assert len(asked) == 3 and "rm -f nothing" in asked[0]


async def test_a_yes_to_a_program_holds_in_its_folder_for_the_session(tmp_path: Path) -> None:
    asked: list[str] = []
    answers = iter(["program", "no", "no", "no"])

    async def answer(_: object, params: object) -> ElicitResult:
        asked.append(params.message)  # type: ignore[attr-defined]
        return ElicitResult(action="accept", content={"run": next(answers)})

    (tmp_path / "sub").mkdir()
    async with connect("shell", str(tmp_path), elicitation_callback=answer) as client:

        async def run(command: str, cwd: str = "sub") -> str:
            result = await client.call_tool("run_command", {"command": command, "cwd": cwd})
            return result.content[0].text  # type: ignore[union-attr]

        with anyio.fail_after(60):
            assert (await run("rm -f a")).startswith("exit=0")
            assert (await run("echo x > b; rm -f b && ls")).startswith("exit=0")
            for command, cwd in (
                ("rm -f a", "."),
                ("rm -f a; chmod 777 .", "sub"),
                ("rm -rf ../.git", "sub"),
            ):
                assert (await run(command, cwd)).startswith("not run: the user declined"), command
            listed = await client.call_tool("job", {})
            policy = await client.read_resource("understudy://shell_policy")
    assert (
        len(asked) == 4 and f"program: rm in {tmp_path.name}/sub" in asked[0] and "program:" not in asked[3]
    )
    line = "allowed until the server ends: rm in sub"
    assert line in listed.content[0].text and line in policy.contents[0].text  # type: ignore[union-attr]
    assert "what no rule names: ask" in policy.contents[0].text  # type: ignore[union-attr]


def test_bad_calls_get_one_clear_sentence(tmp_path: Path) -> None:
    with start("shell", str(tmp_path)) as server:
        for arguments, said in (
            ({}, "either command"),
            ({"command": "ls", "argv": ["ls"]}, "either command"),
            ({"command": "  "}, "empty"),
            ({"argv": []}, "empty"),
            ({"command": "ls", "cwd": ".."}, "outside the workspace"),
            ({"command": "ls", "cwd": "nowhere"}, "not a folder"),
            ({"command": "ls", "env": {"A=B": "x"}}, "not a variable's name"),
            ({"command": "ls", "wait_s": 400}, "wait_s"),
        ):
            result = server.call("run_command", **arguments)
            assert result.is_error and said in result.text, arguments
        assert "no job 'j9'" in server.call("job", id="j9").text
        assert "exit=0" in server.call("run_command", command="true").text


def test_secrets_are_masked_in_results_and_on_disk(tmp_path: Path, own_state: Path) -> None:
    token = "ghp_" + "a1B2" * 9
    with start("shell", str(tmp_path)) as server:
        result = server.call("run_command", command=f"echo {token[:10]}''{token[10:]}")
        spools = [path.read_bytes() for path in own_state.rglob("*.out")]
    assert "ghp_[36 characters masked]" in result.text
    assert spools and all(token.encode() not in spool for spool in spools)


def test_a_full_disk_costs_a_command_its_output_and_not_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root := tmp_path / "root").mkdir()
    with disk_at(tmp_path / "small", "1m") as disk:
        monkeypatch.setenv("UNDERSTUDY_HOME", str(disk / "state"))
        with start("shell", str(root)) as server:
            server.call("run_command", command="echo x")
            fill(disk)
            done = server.call("run_command", command="echo lost; touch made")
    assert "exit=0" in done.text and "5 bytes of its output are lost" in done.text, done.text
    assert (root / "made").exists()


def test_the_environment_is_an_allow_list(tmp_path: Path) -> None:
    with start("shell", str(tmp_path), env={"MY_API_TOKEN": "s3cret", "LC_TIME": "C"}) as server:
        result = server.call("run_command", command="env", env={"EXTRA": "given"})
    assert "s3cret" not in result.text and "EXTRA=given" in result.text and "LC_TIME=C" in result.text


def test_control_characters_are_shown_not_obeyed(tmp_path: Path) -> None:
    with start("shell", str(tmp_path)) as server:
        result = server.call("run_command", command=r"printf '\033[31mred\033[0m \342\200\256 10%%\r20%%\n'")
    assert body(result.text) == "20%\n" or "\\u202e" in result.text
    assert "\x1b" not in result.text


def test_more_commands_than_may_run_at_once_wait_their_turn(tmp_path: Path) -> None:
    with start("shell", str(tmp_path)) as server:
        sent = [
            server.send(
                "tools/call", {"name": "run_command", "arguments": {"command": f"sleep 0.2; echo n{n}"}}
            )
            for n in range(20)
        ]
        answers = [as_result(server.answer(number)) for number in sent]
    assert [body(answer.text) for answer in answers] == [f"n{n}\n" for n in range(20)]


def test_a_slow_command_does_not_stop_others(tmp_path: Path) -> None:
    with start("shell", str(tmp_path)) as server:
        mark = own_sleep()
        slow = server.send(
            "tools/call", {"name": "run_command", "arguments": {"command": f"sleep {mark}", "wait_s": 300}}
        )
        assert "exit=0" in server.call("run_command", command="true").text
        server.notify("notifications/cancelled", {"requestId": slow, "reason": "test"})
        until(lambda: not alive(mark))


def test_programs_that_would_read_a_pipe_do_not_hang(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("needle\n", encoding="utf-8")
    with start("shell", str(tmp_path)) as server:
        assert "needle" in server.call("run_command", command="grep -rn needle").text
        assert body(server.call("run_command", command="wc -c", stdin="12345").text).strip() == "5"
        assert body(server.call("run_command", command="cat").text).strip() == ""
        python = server.call("run_command", command="python3; echo then $?").text
        assert "then 0" in python, "nobody can type: it reads end of file"
        for command in ("cat", "read x; echo $x", "python3 | cat", "tee copy"):
            assert "its input, which was empty: stdin=" in server.call("run_command", command=command).text
        for command in ("cat a.txt", "python3 --version", "cat < a.txt", "echo hi | cat"):
            assert "stdin=" not in server.call("run_command", command=command).text
        both = server.call("run_command", command="cat", stdin="x", interactive=True)
        assert both.is_error and "interactive" in both.text
        typed = server.call("run_command", command="cat", wait_s=0.3, interactive=True).text
        job = typed.partition("job=")[2].split()[0]
        server.call("job", id=job, action="input", text="typed\n")
        ended = server.call("job", id=job, action="input", text="").text
        assert "exit=0" in ended or "exit=0" in server.call("job", id=job, action="wait").text


@pytest.mark.skipif(not shutil.which("rg"), reason="needs rg")
def test_ripgrep_searches_the_folder_not_its_stdin(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("needle\n", encoding="utf-8")
    with start("shell", str(tmp_path)) as server:
        result = server.call("run_command", command="rg needle", timeout_s=60)
    assert "exit=0" in result.text and "a.txt" in body(result.text)


async def test_a_yes_to_a_network_command_switches_the_network_on_for_it_alone(tmp_path: Path) -> None:
    async def yes(_: object, params: object) -> ElicitResult:
        assert "with the network on" in params.message  # type: ignore[attr-defined]
        return ElicitResult(action="accept", content={"run": "once"})

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        url = f"--resolve far.example:{port}:127.0.0.1 http://far.example:{port}/"  # loopback itself needs no yes
        async with connect("shell", str(tmp_path), elicitation_callback=yes) as client:
            with anyio.fail_after(60):
                code = (
                    f"import socket; socket.create_connection(('127.0.0.1', {listener.getsockname()[1]}), 2)"
                )
                alone = await client.call_tool("run_command", {"argv": ["python3", "-c", code]})
                asked = await client.call_tool("run_command", {"command": f"curl -s -m 1 {url}"})
        assert "net=off" in alone.content[0].text and "exit=1" in alone.content[0].text
        assert "net=on" in asked.content[0].text
        assert select.select([listener], [], [], 0)[0]


async def test_a_gate_command_is_held_to_the_same_policy_and_sandbox(tmp_path: Path) -> None:
    (tmp_path / "keep").write_text("x", encoding="utf-8")
    try:
        with anyio.fail_after(60):
            good = await run_gate(tmp_path, "python3 -c 'print(1)'; exit 0", timeout_s=60)
            bad = await run_gate(tmp_path, "echo no; exit 4", timeout_s=60)
            asked = await run_gate(tmp_path, "rm keep", timeout_s=60)
            denied = await run_gate(tmp_path, "sudo id", timeout_s=60)
            slow = await run_gate(tmp_path, "sleep 8300", timeout_s=0.5)
            empty = await run_gate(tmp_path, " ", timeout_s=60)
    finally:
        close_gates()
    assert (good.exit, good.output) == (0, "1\n") and good.sandbox.startswith("sandbox=")
    assert (bad.exit, bad.output) == (4, "no\n")
    assert asked.exit is None and "rm keep" in asked.output and (tmp_path / "keep").exists()
    assert denied.exit is None and "denies" in denied.output
    assert slow.exit not in (0, None) and "timed out" in slow.output
    assert empty.exit is None and "empty" in empty.output


async def test_a_gate_does_unasked_what_the_users_own_policy_says_it_may(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("x", encoding="utf-8")
    policy = replace(BUILT_IN, ask_fallback="allow")
    try:
        with anyio.fail_after(60):
            asked = await run_gate(tmp_path, "rm old", timeout_s=60, policy=policy)
            denied = await run_gate(tmp_path, "sudo id", timeout_s=60, policy=policy)
    finally:
        close_gates()
    assert asked.exit == 0 and not (tmp_path / "old").exists()
    assert denied.exit is None and "denies" in denied.output


def test_more_than_a_program_can_be_given_is_told_before_it_starts(tmp_path: Path) -> None:
    with start("shell", str(tmp_path)) as server:
        for arguments in ({"argv": ["echo", *["x"] * 9000]}, {"argv": ["echo", "x" * 140_000]}):
            result = server.call("run_command", **arguments)
            assert result.is_error and "give more as stdin or in a file" in result.text
        result = server.call("run_command", command="true", env={"A": "x" * 140_000})
    assert result.is_error and "put it in a file" in result.text


@pytest.mark.parametrize("way", ["handed in", "the server's own"])
def test_a_sandbox_planted_in_the_workspace_is_not_taken_for_the_real_one(tmp_path: Path, way: str) -> None:
    root, mark = tmp_path / "root", tmp_path / "escaped"
    for name in ("bwrap", "bash", "git"):
        planted = root / ".venv/bin" / name
        planted.parent.mkdir(parents=True, exist_ok=True)
        planted.write_text(f"#!/bin/sh\necho x > {mark}\n", encoding="utf-8")
        planted.chmod(0o755)
    first = f"{root}/.venv/bin"
    env = {"PATH": f"{first}:{os.environ['PATH']}"} if way != "handed in" else {}
    with start("shell", str(root), env=env) as server:
        if env:
            assert "exit=0" in server.call("run_command", command="echo hi").text
        else:
            assert server.call("run_command", command="echo hi", env={"PATH": first}).is_error
            assert server.call("run_command", argv=["echo", "hi"], env={"PATH": first}).is_error
    assert not mark.exists()


def test_a_character_is_not_shown_before_all_of_it_is_there(tmp_path: Path) -> None:
    code = "import sys\nfor part in (b'a\\xe6\\x97', b'\\xa5b\\n'):\n    sys.stdout.buffer.write(part)\n    sys.stdout.flush()\n    input()\n"
    with start("shell", str(tmp_path)) as server:
        started = server.call("run_command", argv=["python3", "-c", code], wait_s=0.2, interactive=True)
        first = body(started.text)
        for _ in range(300):  # on a busy machine it takes a while to begin
            if first.strip():
                break
            first = body(server.call("job", id="j1", action="wait", wait_s=0.2).text)
        second = server.call("job", id="j1", action="input", text="go\n")
    assert first.strip() == "a" and body(second.text).strip() == "\u65e5b"


def test_only_what_was_left_out_counts_as_cut(tmp_path: Path) -> None:
    with start("shell", str(tmp_path)) as server:
        coloured = server.call("run_command", command=r"printf '\033[31mred\033[0m\r\n'")
        whole = server.call("run_command", command="head -c 5000 /dev/zero | tr '\\0' x")
    assert "kept" not in coloured.text and "kept" not in whole.text and "x" * 5000 in whole.text


@pytest.mark.parametrize(
    "code",
    [
        "print('HEAD' + 'x' * 10_000_000 + 'TAIL')",
        "print('HEAD' + 'x' * 100_000 + 'TAIL', end='')",
        "print('HEAD\\n' + 'y' * 50_000 + '\\n' + 'short\\n' * 20_000 + 'TAIL')",
        "print('HEAD', '日本' * 40_000, 'TAIL')",
    ],
)
def test_long_output_keeps_head_and_tail_and_tells_one_number(tmp_path: Path, code: str) -> None:
    with start("shell", str(tmp_path)) as server:
        text = server.call("run_command", argv=["python3", "-c", code]).text
    shown = body(text)
    assert shown.startswith("HEAD") and shown.rstrip("\n").endswith("TAIL") and len(text.encode()) < 40_000
    assert len(set(re.findall(r"kept [\d.]+K of [\d.]+[KM]", text))) == 1
    assert len(re.findall(r"[\d,]+ bytes left out here, kept", text)) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="needs a sandbox")
def test_a_root_through_a_link_is_there_by_both_names(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.txt").write_text("inside\n")
    (tmp_path / "link").symlink_to("real")
    with start("shell", str(tmp_path / "link")) as server:
        for name in ("link", "real"):
            assert "inside" in server.call("run_command", argv=["cat", f"{tmp_path}/{name}/a.txt"]).text
        copies = f"import shutil; shutil.copy('a.txt', '{tmp_path}/link/b.txt')"
        made = server.call("run_command", argv=["python3", "-c", copies], cwd=f"{tmp_path}/link")
    assert "exit=0" in made.text and (tmp_path / "real/b.txt").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="needs a sandbox")
def test_a_refused_network_is_named_with_what_turns_it_on(tmp_path: Path) -> None:
    code = "import urllib.request as u; u.urlopen('http://example.org/')"
    with start("shell", str(tmp_path)) as server:
        text = server.call("run_command", argv=["python3", "-c", code]).text
        other = server.call("run_command", argv=["python3", "-c", "open('nope')"]).text
    assert "FileNotFoundError" in other
    assert (
        "the network is off here" in text and "network = true" in text and "the network is off" not in other
    )


def test_the_end_of_a_job_is_noticed_when_it_comes(tmp_path: Path) -> None:
    """What it made in protected places is moved away then, not when somebody looks."""
    with start("shell", str(tmp_path)) as server:
        server.call(
            "run_command",
            command="sleep 0.2; python3 -c 'import os; os.mkdir(\".vscode\")'; sleep 0.2",
            wait_s=0,
        )
        until((tmp_path / ".vscode").exists)
        until(lambda: not (tmp_path / ".vscode").exists())
        assert ".vscode is a protected place" in server.call("job", id="j1").text


def test_a_whole_file_system_is_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be a workspace"):
        open_shell(Path("/"))
    with pytest.raises(ValueError, match="not a folder"):
        open_shell(tmp_path / "nowhere")
