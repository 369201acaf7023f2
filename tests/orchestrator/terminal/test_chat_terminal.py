"""R112: the conversation, and the questions of a run, in a real terminal, with real keys and real signals."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.command import Running, begun, understudy
from tests.processes import PATIENCE_S, alive, own_sleep, until

AT_TERMINAL = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"
CTRL_C, CTRL_D, ALT_ENTER, TAB = b"\x03", b"\x04", b"\x1b\r", b"\t"
PROMPT = "you │"  # the space after it is a movement of the cursor


class Term:
    """`understudy` behind a pseudo-terminal; `installed`: the script itself, and not a fork of what tests keep."""

    def __init__(self, folder: Path, *arguments: str, installed: bool = False, kind: str = "xterm") -> None:
        self.shown = self.written = ""
        self.fd, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        env = {"TERM": kind, "NO_COLOR": "1"}
        self.process: Running | subprocess.Popen[bytes]
        if installed:
            words = [str(Path(sys.executable).parent / "understudy"), *arguments]
            all_of_env, at = {**os.environ, **env}, [sys.executable, "-c", AT_TERMINAL, *words]
            self.process = subprocess.Popen(
                at, cwd=folder, env=all_of_env, stdin=theirs, stdout=theirs, stderr=theirs
            )
        else:
            self.process = begun(*arguments, cwd=folder, env=env, terminal=theirs)
        self.pid = self.process.pid
        os.close(theirs)

    @property
    def code(self) -> int | None:
        return self.process.poll()

    def press(self, keys: bytes | str) -> None:
        os.write(self.fd, keys.encode() if isinstance(keys, str) else keys)

    def expect(self, text: str) -> str:
        """What was shown up to and with `text`, which is then forgotten."""
        self.until(lambda: text in self.shown, text)
        seen, _, self.shown = self.shown.partition(text)
        return seen + text

    def until(self, holds: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, f"waited for {what!r}, saw {self.shown!r}"
            assert self._more() or self.code is None or self._more() or holds(), (
                f"ended before {what!r}, saw {self.shown!r}"
            )

    def leave(self) -> int:
        """The exit code, once it has ended."""
        self.until(lambda: self.code is not None, "the end")
        assert self.code is not None
        return self.code

    def close(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)
        os.close(self.fd)

    def _more(self, wait_s: float = 0.1) -> bool:
        if select.select([self.fd], [], [], wait_s)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # nobody sits at it any more
                time.sleep(0.01)
                return False
            assert b"\x1b[6n" not in data, "its answer would come as input, as if it were typed"
            text = data.decode("utf-8", "replace")
            self.written += text
            self.shown += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\r", "", text)
            return True
        return False


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.terms: list[Term] = []
        for name, servers in {
            "none": {},
            "shell": {"shell": {"command": "understudy-shell", "args": ["."]}},
        }.items():
            (folder / f"{name}.json").write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")

    def script(self, *replies: Any, name: str = "s.jsonl") -> str:
        lines = [json.dumps({"text": r} if isinstance(r, str) else r) for r in replies]
        (self.folder / name).write_text("\n".join(lines), encoding="utf-8")
        return f"scripted:{name}"

    def chat(
        self, *arguments: str, servers: str = "none.json", installed: bool = False, kind: str = "xterm"
    ) -> Term:
        term = Term(self.folder, "chat", *arguments, "--mcp", servers, installed=installed, kind=kind)
        self.terms.append(term)
        term.expect("Ctrl-D leaves")
        term.expect(PROMPT)
        return term

    def run(self, *arguments: str, servers: str = "none.json") -> Term:
        term = Term(self.folder, "run", *arguments, "--mcp", servers)
        self.terms.append(term)
        return term


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path)
    yield found
    for term in found.terms:
        term.close()


def slow(place: Place) -> None:
    """Scripted models take the time they recorded."""
    (place.folder / "config.yaml").write_text("providers: {scripted: {options: {pace: 1}}}", encoding="utf-8")


def test_a_question_is_typed_edited_answered_and_left(place: Place) -> None:
    model = place.script({"expect": ["What is it?"], "text": "A terminal.\nReally."})
    term = place.chat("--model", model, installed=True)
    term.press("What isx\x7f it?\r")
    assert "▌ A terminal." in term.expect("▌ Really.")
    term.expect(PROMPT)
    term.press("/quit\r")
    assert term.leave() == 0


def test_ctrl_c_stops_the_turn_and_the_history_stays_valid(place: Place) -> None:
    slow(place)
    long = {"text": "word " * 1000, "usage": {"total_s": 100.0}}
    model = place.script("one", long, {"expect": ["third"], "text": "three"})
    term = place.chat("--config", "config.yaml", "--model", model)
    for question, wait in (("first\r", "▌ one"), ("second\r", "▌ word")):
        term.press(question)
        term.expect(wait)
        if wait == "▌ one":
            term.expect(PROMPT)
    term.press(CTRL_C)
    term.expect("stopped: cancelled")
    term.expect(PROMPT)
    term.press("third\r")
    term.expect("▌ three")
    term.expect(PROMPT)
    term.press("/show\r")
    shown = term.expect("6 messages")
    assert (
        "you │ second" in shown and "[interrupted: stopped by the person]" in shown and "you │ third" in shown
    )
    term.expect(PROMPT)
    term.press(CTRL_D)
    assert term.leave() == 0


def test_a_terminal_that_only_prints_gets_text_alone_is_asked_and_can_stop_a_turn(place: Place) -> None:
    slow(place)
    call = {"tool_calls": [{"name": "shell__run_command", "arguments": {"command": "rm -rf nothing"}}]}
    model = place.script(call, "Removed.", {"text": "word " * 1000, "usage": {"total_s": 100.0}}, "here")
    term = place.chat("--config", "config.yaml", "--model", model, servers="shell.json", kind="dumb")
    term.press(CTRL_C)
    term.expect("Ctrl-C again leaves, and so does Ctrl-D")
    term.expect(PROMPT)
    term.press("remove it\n")
    term.expect("[once/always/program/no] ")
    term.press("what?\n")
    term.expect("one of once, always, program, no")
    term.expect("[once/always/program/no] ")
    term.press("once\n")
    term.expect("│ Removed.")
    term.expect(PROMPT)
    term.press("talk\n")
    term.expect("│ word word")
    term.press(CTRL_C)
    term.expect("stopped; what was said")
    term.expect(PROMPT)
    term.press("still there?\n")
    term.expect("│ here")
    term.expect(PROMPT)
    term.press(CTRL_D)
    assert term.leave() == 0
    assert "\x1b" not in term.written


def test_ctrl_c_throws_away_what_was_typed_then_warns_then_leaves(place: Place) -> None:
    term = place.chat("--model", place.script("unused"))
    term.press("half a thought")
    term.expect("thought")
    term.press(CTRL_C)
    term.press(CTRL_C)
    term.expect("Ctrl-C again leaves")
    term.expect(PROMPT)
    term.press(CTRL_C)
    assert term.leave() == 0


def test_several_lines_are_one_question(place: Place) -> None:
    term = place.chat("--model", place.script({"expect": ["one\ntwo\nthree"], "text": "got all"}))
    term.press("one")
    term.press(ALT_ENTER)
    term.expect("    │")
    term.press("two\\\r")
    term.expect("│ two")
    term.press("three\r")
    term.expect("▌ got all")


def test_pasted_lines_are_one_question(place: Place) -> None:
    term = place.chat("--model", place.script({"expect": ["a = 1\nb = 2"], "text": "pasted"}))
    term.press("\x1b[200~a = 1\nb = 2\x1b[201~\r")
    term.expect("▌ pasted")


def test_lines_pasted_where_pastes_are_not_marked_are_one_question(place: Place) -> None:
    term = place.chat("--model", place.script({"expect": ["a = 1\nb = 2\n\nc"], "text": "pasted"}))
    term.press("a = 1\rb = 2\r\rc")
    term.expect("│ c")
    term.press("\r")
    term.expect("▌ pasted")


def test_what_is_sent_during_a_turn_waits_is_shown_and_is_the_next_question(place: Place) -> None:
    slow(place)
    first = {"text": "one " * 20, "usage": {"total_s": 2.0}}
    model = place.script(first, {"expect": ["and then?"], "text": "then two"})
    term = place.chat("--config", "config.yaml", "--model", model)
    term.press("first\r")
    term.expect("▌ one")
    term.press("and then?\r")
    term.expect("queued: and then?")
    shown = term.expect("▌ then two")
    assert "you │ and then?" in shown


def test_ctrl_c_twice_stops_the_turn_and_leaves(place: Place) -> None:
    slow(place)
    term = place.chat(
        "--config",
        "config.yaml",
        "--model",
        place.script({"text": "word " * 1000, "usage": {"total_s": 100.0}}),
    )
    term.press("go\r")
    term.expect("▌ word")
    term.press(CTRL_C)
    term.expect("Ctrl-C again leaves")
    term.expect(PROMPT)
    term.press(CTRL_C)
    assert term.leave() == 0


def test_ctrl_c_stops_every_member_of_a_panel_and_the_next_question_sees_what_had_been_answered(
    place: Place,
) -> None:
    slow(place)
    endless = {"text": "word " * 1000, "usage": {"total_s": 100.0}}
    tasks = [{"id": role, "role": role, "task": "x", "depends_on": []} for role in ("worker1", "worker2")]
    quick = place.script(*[f"ANSWER: yes{number}" for number in range(2)], name="quick.jsonl")
    long = place.script(*[endless] * 9, name="long.jsonl")
    plans = place.script(json.dumps({"tasks": tasks}), name="plans.jsonl")
    lead = place.script(*[f"judged {number}" for number in range(2)], name="lead.jsonl")
    term = place.chat("--config", "config.yaml", "--model", lead)
    uses = ("vote", "plan")
    for number, use in enumerate(uses):
        members = f"{plans},{quick},{long}" if use == "plan" else f"{quick},{long}"
        term.press(f"/{use} {members} how?\r")
        if use == "plan":
            term.expect("[yes/no]")
            term.press("yes\r")
        term.expect(f"ANSWER: yes{number}")
        term.expect("measured")
        term.until(lambda: "word" in term.shown, "the endless answer begun")
        term.press(CTRL_C)
        term.expect("stopped: cancelled")
        term.expect(f"▌ {use}")
        term.expect("stopped; what was said and done is kept. Ctrl-C again leaves")
        term.expect(PROMPT)
        term.press("which was better?\r")
        term.expect(f"▌ judged {number}")
        term.expect(PROMPT)
    term.press(f"/consult {long},{long} how?\r")
    term.expect("word")
    term.press(CTRL_C)
    term.expect("Ctrl-C again leaves")
    term.expect(PROMPT)
    term.press(CTRL_C)
    assert term.leave() == 0
    shown = understudy("sessions", "show", "last", cwd=place.folder).stdout
    for number, use in enumerate(uses):
        assert f"ANSWER: yes{number}" in shown and f"[{use}, " in shown
    assert shown.count("[interrupted: stopped by the person]") == len(uses) + 1


def test_a_command_of_ones_own_runs_and_its_output_goes_along(place: Place) -> None:
    term = place.chat("--model", place.script({"expect": ["forty-two"], "text": "seen"}))
    term.press("!echo forty-two\r")
    term.expect("exit=0")
    term.expect(PROMPT)
    term.press("look\r")
    term.expect("▌ seen")


def test_what_comes_before_the_model_is_asked_is_shown_and_a_question_stopped_there_is_not_lost(
    place: Place,
) -> None:
    silent = {"mcpServers": {"silent": {"command": "sleep", "args": [own_sleep()]}}}
    (place.folder / "silent.json").write_text(json.dumps(silent), encoding="utf-8")
    term = place.chat("--trust", "--model", place.script("never asked"), servers="silent.json")
    term.press("is anybody there?\r")
    term.expect("… getting ready · ")
    term.press(CTRL_C)
    term.expect("stopped before a model was asked; arrow up brings the question back")
    term.expect(PROMPT)
    term.press("\x1b[A")
    term.expect("is anybody there?")


def test_a_command_of_ones_own_is_shown_while_it_runs_and_none_is_no_question(place: Place) -> None:
    term = place.chat("--model", place.script("unused"))
    mark = own_sleep()
    term.press(f"!sleep {mark}\r")
    term.expect(f"… ! sleep {mark} · ")
    term.press(CTRL_C)
    term.expect("Ctrl-C again leaves")
    term.press("!\r")
    term.expect("! wants a command, as !git status")


def test_commands_models_and_files_are_completed(place: Place) -> None:
    (place.folder / "unusual.txt").write_text("hello", encoding="utf-8")
    (place.folder / "config.yaml").write_text("aliases: {quick: 'scripted:q.jsonl'}", encoding="utf-8")
    place.script("I am quick", {"expect": ["--- unusual.txt ---"], "text": "read"}, name="q.jsonl")
    term = place.chat("--config", "config.yaml", "--model", place.script("unused"))
    term.press("/delega")
    term.press(TAB)
    term.expect("te")
    term.press(CTRL_C)
    term.press("/model qui")
    term.press(TAB)
    term.expect("ck")
    term.press("\r")
    term.expect("model switched: scripted:s.jsonl → scripted:q.jsonl")
    term.expect(PROMPT)
    term.press("hi\r")
    term.expect("▌ I am quick")
    term.expect(PROMPT)
    term.press("see @unu")
    term.press(TAB)
    term.expect("sual.txt")
    term.press("\r")
    term.expect("unusual.txt goes along")
    term.expect("▌ read")


def test_a_kill_loses_nothing_that_was_said(place: Place) -> None:
    slow(place)
    model = place.script("kept", {"text": "lost " * 1000, "usage": {"total_s": 100.0}})
    term = place.chat("--config", "config.yaml", "--model", model)
    term.press("remember me\r")
    term.expect("▌ kept")
    term.expect(PROMPT)
    term.press("not this\r")
    term.expect("▌ lost")
    os.kill(term.pid, signal.SIGKILL)
    assert term.leave() == -signal.SIGKILL
    place.script({"expect": ["what now"], "text": "on we go"})
    again = place.chat("--resume", "last")
    again.press("what now\r")
    again.expect("▌ on we go")
    again.expect(PROMPT)
    again.press("/show\r")
    shown = again.expect("6 messages")
    assert "you │ remember me" in shown and "you │ not this" in shown and "▌ lost" in shown
    assert "the program ended" in shown


def test_leaving_ends_the_servers_and_gives_the_terminal_back(place: Place) -> None:
    term = Term(
        place.folder,
        "chat",
        "--model",
        place.script({"tool_calls": [{"name": "files__list_files", "arguments": {}}]}, "listed"),
        installed=True,
    )
    place.terms.append(term)
    before = termios.tcgetattr(term.fd)
    term.expect("Ctrl-D leaves")
    term.expect(PROMPT)
    term.press("list\r")
    term.expect("▌ listed")
    children = psutil.Process(term.pid).children(recursive=True)
    assert children
    term.expect(PROMPT)
    term.press(CTRL_D)
    assert term.leave() == 0
    assert termios.tcgetattr(term.fd) == before
    assert psutil.wait_procs(children, PATIENCE_S)[1] == [], "a server outlives the conversation"


def asking(place: Place, *answers: str) -> str:
    (place.folder / "old").mkdir(exist_ok=True)
    call = {"tool_calls": [{"name": "shell__run_command", "arguments": {"command": "rm -r old"}}]}
    term = place.chat("--model", place.script(call, "so be it"), servers="shell.json")
    term.press("clean up\r")
    term.expect("rm -r old")
    question = term.expect("no]")
    for answer in answers[:-1]:
        term.press(answer)
        term.expect("Ctrl-C declines")
        term.expect("no]")
    term.press(answers[-1])
    term.expect("▌ so be it")
    return question


def test_a_command_that_needs_a_yes_is_asked_for_and_runs_then(place: Place) -> None:
    asking(place, "o\r")
    assert not (place.folder / "old").exists()


def test_a_command_without_a_yes_does_not_run(place: Place) -> None:
    for answers in (["typed ahead\r", "no\r"], ["\x03"]):
        asking(place, *answers)
        assert (place.folder / "old").exists(), answers


def piped(place: Place, model: str) -> subprocess.Popen[str]:
    command = [
        str(Path(sys.executable).parent / "understudy"),
        "chat",
        "--config",
        "config.yaml",
        "--mcp",
        "none.json",
    ]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*command, "--model", model], cwd=place.folder, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )


def read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    while text not in (line := process.stdout.readline()):
        assert line, f"ended before {text!r}: {process.stderr and process.stderr.read()}"


def test_an_interrupt_ends_a_conversation_over_a_pipe_without_a_word_of_python(place: Place) -> None:
    slow(place)
    with piped(place, place.script("unused")) as process:
        read_until(process, "Ctrl-D leaves")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130
        assert process.stderr is not None and process.stderr.read() == ""


def test_an_interrupt_during_a_turn_over_a_pipe_stops_that_turn(place: Place) -> None:
    slow(place)
    model = place.script({"text": "word\n" * 1000, "usage": {"total_s": 100.0}}, "next")
    with piped(place, model) as process:
        assert process.stdin is not None
        process.stdin.write("first\nsecond\n")
        process.stdin.close()
        read_until(process, "│ word")
        process.send_signal(signal.SIGINT)
        read_until(process, "stopped: cancelled")
        read_until(process, "│ next")
        assert process.wait(PATIENCE_S) == 0


def test_bytes_that_are_no_text_do_not_end_a_conversation(place: Place) -> None:
    slow(place)
    command = [
        str(Path(sys.executable).parent / "understudy"),
        "chat",
        "--mcp",
        "none.json",
        "--model",
        place.script("a", "b"),
    ]
    done = subprocess.run(
        command, cwd=place.folder, input=b"\xff\xfe\nnext\n", capture_output=True, check=False
    )
    assert done.returncode == 0 and done.stdout.count(b"lead scripted") == 4


def test_ctrl_c_while_a_tool_runs_ends_the_tool_and_the_next_turn_works(place: Place) -> None:
    mark = own_sleep()
    command = f"sleep {mark}"
    call = {"tool_calls": [{"name": "shell__run_command", "arguments": {"command": command}}]}
    model = place.script(call, {"expect": ["go on"], "text": "going on"})
    term = place.chat("--model", model, servers="shell.json")
    term.press("wait\r")
    term.until(lambda: alive(mark), command)
    term.press(CTRL_C)
    term.expect("stopped: cancelled")
    term.expect(PROMPT)
    until(lambda: not alive(mark), "the end of the command of a stopped turn")
    term.press("go on\r")
    term.expect("▌ going on")


@pytest.mark.parametrize("buffering", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("command", [["chat"], ["run", "hi"]])
def test_a_reader_that_leaves_ends_the_program_without_a_word_of_python(
    place: Place, command: list[str], buffering: dict[str, str]
) -> None:
    slow(place)
    model = place.script({"text": "word\n" * 1000, "usage": {"total_s": 5.0}})
    program = [
        str(Path(sys.executable).parent / "understudy"),
        *command,
        "--mcp",
        "none.json",
        "--config",
        "config.yaml",
    ]
    pipe = subprocess.PIPE
    env = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"} | buffering
    with subprocess.Popen(
        [*program, "--model", model], cwd=place.folder, stdin=pipe, stdout=pipe, stderr=pipe, env=env
    ) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        process.stdin.write(b"hi\n")
        process.stdin.close()
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(PATIENCE_S) == 0
        assert process.stderr.read() == b""


@pytest.mark.parametrize(("keys", "code"), [(CTRL_C, 130), ("n\r", 0), ("once\r", 0)])
def test_a_run_asks_before_a_command_and_ctrl_c_there_ends_it(
    place: Place, keys: bytes | str, code: int
) -> None:
    (place.folder / "kept.txt").write_text("x", encoding="utf-8")
    call = {"name": "shell__run_command", "arguments": {"command": "rm kept.txt"}}
    model = place.script({"tool_calls": [call]}, "Done.")
    term = place.run("--model", model, "Clean up.", servers="shell.json")
    term.expect("rm kept.txt")
    term.expect("] ")
    term.press(keys)
    assert term.leave() == code
    assert (place.folder / "kept.txt").exists() is (keys != "once\r")
