"""R92, R112: the conversation over lines of text, command by command."""

from __future__ import annotations

import io
import json
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from rich.console import Console

from orchestrator.config.load import load_config
from orchestrator.config.pattern_parameters import parameters
from orchestrator.config.patterns import BY_USE
from orchestrator.store.store import Kept, Store, StoreError
from orchestrator.terminal.chat.chat import chat
from orchestrator.terminal.chat.commands import COMMANDS
from orchestrator.terminal.chat.input import Lines
from orchestrator.terminal.chat.own_command import own_command
from orchestrator.terminal.chat.pattern_commands import PANELS
from orchestrator.types import Message
from tests.processes import alive, own_sleep, until

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts are named relative to where one stands: a long path would be shortened on the screen."""
    monkeypatch.chdir(tmp_path)


def script(folder: Path, *replies: Any, name: str = "s.jsonl") -> str:
    lines = [json.dumps({"text": reply} if isinstance(reply, str) else reply) for reply in replies]
    (folder / name).write_text("\n".join(lines), encoding="utf-8")
    return f"scripted:{name}"


async def typed(folder: Path, *lines: str, model: str | None = None, **more: Any) -> tuple[int, list[str]]:
    """What a conversation prints when these lines are typed in `folder`, without servers."""
    (folder / "none.json").write_text('{"mcpServers": {}}', encoding="utf-8")
    mcp = more.pop("mcp", None if more.pop("servers", False) else folder / "none.json")
    config = load_config(cwd=folder, mcp=mcp, env={}, default_model=model, display__format="plain")
    screen = io.StringIO()
    reader = Lines(io.StringIO("".join(f"{line}\n" for line in lines)))
    code = await chat(config, console=Console(file=screen), reader=reader, **more)
    return code, screen.getvalue().splitlines()


def said(lines: list[str]) -> list[str]:
    return [line.partition("│ ")[2] for line in lines if line.startswith("lead ") and "│ ·" not in line]


def last_history() -> list[Message]:
    with closing(Store()) as store:
        return store.history(store.find("last").id)


def kept() -> list[Kept]:
    with closing(Store()) as store:
        return store.sessions()


async def test_lines_are_turns_and_the_end_of_input_leaves(tmp_path: Path) -> None:
    model = script(tmp_path, "one\nmore", {"expect": ["second\nline"], "text": "two"})
    code, lines = await typed(tmp_path, "first", "", "second\\", "line", model=model)
    assert code == 0 and said(lines) == ["one", "more", "two"]
    assert next(line for line in lines if line.startswith("lead ")) == f"lead {model} │ one"


async def test_a_conversation_is_kept_and_resumed_with_its_model(tmp_path: Path) -> None:
    model = script(tmp_path, "noted", "You are Ann.")
    await typed(tmp_path, "I am Ann", model=model)
    again = script(tmp_path, "You are Ann.")
    code, lines = await typed(tmp_path, "Who am I?", "/show", resume="last")
    assert code == 0 and said(lines)[0] == "You are Ann."
    assert any(again in line for line in lines) and any("you │ I am Ann" in line for line in lines)
    assert len(kept()) == 1
    with pytest.raises(StoreError, match="no conversation 'zz'"):
        await typed(tmp_path, resume="zz")


async def test_a_failed_turn_is_said_once_and_the_next_goes_on_with_its_question(tmp_path: Path) -> None:
    failing = {"error": {"kind": "Refused", "message": "too busy"}}
    model = script(tmp_path, "one", failing, "three")
    code, lines = await typed(tmp_path, "1", "2", "3", model=model)
    assert code == 1 and said(lines) == ["one", "✗ stopped: scripted: too busy", "three"]
    assert sum("too busy" in line for line in lines) == 1
    assert [m.text for m in last_history()] == [
        "1",
        "one",
        "2",
        "[interrupted: scripted: too busy]",
        "3",
        "three",
    ]


async def test_the_model_is_switched_and_a_wrong_one_explained(tmp_path: Path) -> None:
    first, second = script(tmp_path, "I am one"), script(tmp_path, "I am two", name="t.jsonl")
    code, lines = await typed(
        tmp_path, "/model", "a", f"/model {second}", "b", "/model nope:x", "/model", model=first
    )
    assert said(lines) == ["I am one", "I am two"]
    assert f"understudy │ model switched: {first} → {second}" in lines
    assert any("no provider 'nope'" in line for line in lines)
    assert lines[-1] == f"understudy │ {second}" and code == 1


async def test_without_a_model_one_can_still_look_around(tmp_path: Path) -> None:
    model = script(tmp_path, "hi")
    code, lines = await typed(tmp_path, "hello", "/help", f"/model {model}", "hello")
    assert "no model is chosen" in lines[0] and "no model is chosen; /models lists" in lines[1]
    assert said(lines) == ["hi"] and code == 1


async def test_help_lists_every_command_of_the_table(tmp_path: Path) -> None:
    _, lines = await typed(tmp_path, "/help")
    for command in COMMANDS.values():
        assert any(line.startswith(f"understudy │ {command.usage} ") for line in lines), command.usage


async def test_help_fits_eighty_columns(tmp_path: Path) -> None:
    _, lines = await typed(tmp_path, "/help")
    assert max(len(line.removeprefix("understudy │ ")) for line in lines[1:]) <= 78  # and the bar


async def test_the_changes_of_the_last_turn_are_taken_back(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n", encoding="utf-8")
    (tmp_path / "mcp.json").write_text(
        '{"mcpServers": {"files": {"command": "understudy-files", "args": ["."]}}}', encoding="utf-8"
    )
    edits = [
        {"name": "files__edit_file", "arguments": {"path": "a.txt", "edits": [{"old": old, "new": new}]}}
        for old, new in (("one", "two"), ("two", "three"))
    ]
    write = {"name": "files__write_file", "arguments": {"path": "b.txt", "content": "new\n"}}
    calls = [{"tool_calls": [call]} for call in (*edits, write)]
    _, lines = await typed(
        tmp_path,
        "/undo",
        "change it",
        "/undo",
        "/undo",
        model=script(tmp_path, *calls, "Done."),
        servers=True,
    )
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "one\n" and not (tmp_path / "b.txt").exists()
    assert sum("nothing that can be taken back" in line for line in lines) == 2


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", folder, *words], check=True, capture_output=True, encoding="utf-8", timeout=60
    )
    return done.stdout.strip()


async def test_what_a_turn_did_with_git_is_taken_back_in_whichever_repository(tmp_path: Path) -> None:
    (tmp_path / "mcp.json").write_text(
        '{"mcpServers": {"git": {"command": "understudy-git", "args": ["."]}}}', encoding="utf-8"
    )
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        git(tmp_path / name, "init", "-q", "-b", "main")
        git(tmp_path / name, "config", "user.name", "A")
        git(tmp_path / name, "config", "user.email", "a@example.org")
        git(tmp_path / name, "commit", "-q", "--allow-empty", "-m", "first")
        git(tmp_path / name, "branch", "side")
        (tmp_path / name / "new.txt").write_text("new\n", encoding="utf-8")
    told = {"message": "Close op=abcdef01"}
    calls = [
        {"name": f"git__git_{tool}", "arguments": {"repo": repo, **arguments}}
        for repo in ("a", "b")
        for tool, arguments in (
            ("stage", {"paths": ["."]}),
            ("commit", told),
            ("branch", {"action": "switch", "name": "side"}),
        )
    ]
    steps = [{"tool_calls": [call]} for call in calls]
    heard = {"expect": ["took back a change with /undo", "undone: commit Close"], "text": "I see."}
    _, lines = await typed(
        tmp_path, "do it", "/undo", "and?", model=script(tmp_path, *steps, "Done.", heard), servers=True
    )
    assert said(lines)[-1] == "I see."
    for name in ("a", "b"):
        assert git(tmp_path / name, "log", "--format=%s", "--branches") == "first"
        assert git(tmp_path / name, "status", "--porcelain", "-b") == "## main\n?? new.txt"


async def test_going_back_a_turn_begins_a_conversation_without_it(tmp_path: Path) -> None:
    model = script(tmp_path, "one", "two", "three", {"expect": ["again"], "text": "new two"})
    await typed(tmp_path, "1", "2", "3", "/rewind 2", "again", "/rewind 9", model=model)
    assert [m.text for m in last_history()] == ["1", "one", "again", "new two"]
    assert len(kept()) == 2


async def test_a_conversation_that_goes_on_shows_where_it_stood(tmp_path: Path) -> None:
    model = script(tmp_path, *(f"answer {n}" for n in range(6)))
    await typed(tmp_path, *(f"question {n}" for n in range(6)), model=model)
    _, lines = await typed(tmp_path, resume="last")
    assert any("you │ question 5" in line for line in lines) and any("answer 5" in line for line in lines)
    assert not any("answer 0" in line for line in lines)


async def test_an_unknown_command_is_not_sent_and_two_slashes_are(tmp_path: Path) -> None:
    model = script(tmp_path, {"expect": ["/etc is a folder"], "text": "yes"})
    _, lines = await typed(tmp_path, "/modle", "//etc is a folder", model=model)
    assert any("no command /modle; did you mean /model?" in line for line in lines) and said(lines) == ["yes"]


async def test_what_a_persons_own_command_leaves_in_the_background_ends_with_it(tmp_path: Path) -> None:
    sleep = own_sleep()
    with anyio.fail_after(60):
        shown = await own_command(f"sleep {sleep} & echo hi", str(tmp_path))
    assert shown == "exit=0\nhi"
    await anyio.to_thread.run_sync(until, lambda: not alive(sleep))


async def test_quit_leaves_what_follows_unread(tmp_path: Path) -> None:
    code, lines = await typed(tmp_path, "/quit", "not a turn")
    assert code == 0 and len(lines) == 1


async def test_delegate_and_consult_show_who_answers_and_join_the_conversation(tmp_path: Path) -> None:
    lead = script(tmp_path, "hello")
    a, b = script(tmp_path, "seven", "yes", name="a.jsonl"), script(tmp_path, "no", name="b.jsonl")
    _, lines = await typed(
        tmp_path,
        "hi",
        f"/delegate {a} count the birds",
        f"/consult {a},{b} really?",
        "/delegate x",
        "/consult",
        "/cost",
        model=lead,
    )
    assert f"delegate │ ⇒ worker {a}: count the birds" in lines and f"  worker {a} │ seven" in lines
    assert {f"  adviser {a} │ yes", f"  adviser {b} │ no"} <= set(lines)
    assert any("/delegate wants a model and a task" in line for line in lines)
    assert any(
        "/consult wants models and a text to work on: /consult M,M [judge=MODEL] QUESTION" in line
        for line in lines
    )
    assert {f"understudy │ {m}: $0" for m in (lead, a, b)} <= set(lines)
    texts = [m.text for m in last_history()]
    assert texts[:4] == ["hi", "hello", "count the birds", f"[delegate, answer of {a}] seven"]
    assert texts[5:8] == ["really?", f"[consult, answer of {a}] yes", f"[consult, answer of {b}] no"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("/vote A,B which?", "vote │ [vote: 2 of 2 votes; compared by words"),
        ("/debate A,B which?", "debate │ [debate: 2 of 2 agree after 0 rounds"),
        ("/refine A,B write", "refine │ [refine: not approved after 2 reviews"),
        ("/route A,B write", "route │ [route: scripted:a.jsonl was chosen"),
        ("/plan A,B do it", "No result: no plan: wanted a JSON object"),
        (
            "/handoff A,B write",
            "handoff │ [handoff: begun by scripted:a.jsonl, continued by scripted:b.jsonl",
        ),
        ("/pipeline A,B write", "pipeline │ [pipeline: 2 of 2 stages done"),
        ("/parallel A,B write", "parallel │ [parallel: 2 of 2 done"),
        ("/vote A samples=3 which?", "vote │ [vote: 3 of 3 votes"),
        ("/vote A smaples=3 which?", "there is no 'smaples' of vote; did you mean samples=3?"),
        ("/vote A samples=many which?", "samples: wanted a whole number, found 'many'"),
        ("/debate A,B rounds=0 which?", "rounds: wanted at least 1, found 0"),
        ("/debate A,B rounds=1000 which?", "rounds: wanted at most 10, found 1000"),
        ("/refine A write", "wanted author and critic as models, found 1"),
        ("/vote A", "/vote wants models and a text to work on: /vote M,M [choices=A,B]"),
        ("/pattern x y", "/pattern wants a name and a question; there are none"),
    ],
)
async def test_every_pattern_is_a_slash_command(tmp_path: Path, line: str, says: str) -> None:
    a, b = script(tmp_path, *["ok"] * 9, name="a.jsonl"), script(tmp_path, *["ok"] * 9, name="b.jsonl")
    _, lines = await typed(tmp_path, line.replace("A", a).replace("B", b))
    assert any(says.casefold() in line.casefold() for line in lines), lines


async def test_what_was_spent_is_added_up_over_a_resume(tmp_path: Path) -> None:
    usage = {"input_tokens": 10, "output_tokens": 5, "cost_usd": 0.25}
    model = script(tmp_path, {"text": "a", "usage": usage})
    await typed(tmp_path, "x", model=model)
    _, lines = await typed(tmp_path, "y", "/cost", resume="last")
    assert lines[-1] == f"understudy │ {model}: 20 tokens in, 10 tokens out, $0.5000"


async def test_conversations_are_listed_searched_and_begun_anew(tmp_path: Path) -> None:
    model = script(tmp_path, "The ostrich.", "Something else.")
    _, lines = await typed(
        tmp_path,
        "Which bird?",
        "/new",
        "What else?",
        "/sessions",
        "/sessions ostrich",
        "/resume zz",
        model=model,
    )
    newest = kept()
    assert [k.title for k in newest] == ["What else?", "Which bird?"]
    assert sum("2 messages" in line for line in lines) == 2
    assert any(newest[1].id in line and "assistant: The ostrich." in line for line in lines)


async def test_a_conversation_is_saved_as_markdown_or_json_lines_and_nothing_is_overwritten(
    tmp_path: Path,
) -> None:
    model = script(tmp_path, "hello")
    _, lines = await typed(
        tmp_path, "/save", "hi", "/save a.md", "/save a.md", "/save b.jsonl", "/save no/such/x", model=model
    )
    assert "hello" in (tmp_path / "a.md").read_text(encoding="utf-8")
    saved = (tmp_path / "b.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["kind"] for line in saved] == ["session", *["message"] * 2, *["event"] * 3]
    told = "\n".join(lines)
    assert (
        "nothing to save yet" in told
        and "exists; choose another name" in told
        and "cannot be written" in told
    )


async def test_a_mentioned_file_goes_along_and_others_say_why_not(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    for path, data in {
        "a.py": b"x = 1\n",
        ".env": b"KEY=1",
        "big.txt": b"a" * 300_000,
        "b c.txt": b"spaced",
        "n.bin": b"\xff\xfe",
    }.items():
        (work / path).write_bytes(data)
    (tmp_path / "outside.txt").write_text("secret", encoding="utf-8")
    (work / "link.txt").symlink_to(tmp_path / "outside.txt")
    model = script(
        tmp_path,
        {"expect": ["--- a.py ---\nx = 1", "--- b c.txt ---\nspaced"], "text": "ok"},
        {"expect": ["me@example.org"], "text": "mail"},
    )
    _, lines = await typed(
        work,
        'look at @a.py, @"b c.txt" and @a.py; not @.env @big.txt @n.bin @../outside.txt @link.txt @nothing.txt',
        "write to me@example.org about @property",
        model=model,
    )
    assert said(lines) == ["ok", "mail"]
    notes = [
        line.removeprefix("understudy │ ") for line in lines if "go along" in line or "goes along" in line
    ]
    assert (
        notes
        == [
            "a.py goes along, 6 bytes",
            "b c.txt goes along, 6 bytes",
            ".env does not go along: it holds secrets",
            "big.txt does not go along: it has more than 200,000 bytes; name a smaller one or let the tools read it",
            "n.bin does not go along: it is not UTF-8 text",
            f"outside.txt does not go along: it lies outside {work}",
            f"outside.txt does not go along: it lies outside {work}",
        ][: len(notes)]
    )
    assert len(notes) == 6


async def test_a_picture_goes_along_as_a_picture(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(b"\x89PNG fake")
    model = script(tmp_path, "seen")
    await typed(tmp_path, "what is on @p.png?", model=model)
    (image,) = [p for p in last_history()[0].parts if p.kind == "image"]
    assert image.mime == "image/png"


async def test_the_tools_of_the_configured_servers_are_listed_and_used(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello\n", encoding="utf-8")
    (tmp_path / "mcp.json").write_text(
        '{"mcpServers": {"files": {"command": "understudy-files", "args": ["."]}}}', encoding="utf-8"
    )
    call = {"tool_calls": [{"name": "files__read_file", "arguments": {"path": "a.txt"}}]}
    model = script(tmp_path, call, {"expect": ["hello"], "text": "It says hello."})
    _, lines = await typed(tmp_path, "/tools files", "/tools nope", "read a.txt", model=model, servers=True)
    assert any(line.startswith("understudy │ files__read_file ") for line in lines)
    assert any("no server 'nope' is configured" in line for line in lines)
    assert said(lines)[-1] == "It says hello."


async def test_a_damaged_store_does_not_keep_one_from_talking(tmp_path: Path, own_state: Path) -> None:
    home = own_state / "understudy"
    home.mkdir(exist_ok=True)
    (home / "conversations.sqlite").write_bytes(b"no database" * 200)
    _, lines = await typed(tmp_path, "hi", "/sessions", model=script(tmp_path, "hello"))
    assert "nothing of this conversation will be kept" in lines[0] and said(lines) == ["hello"]
    assert "cannot be kept here" in lines[-1]


async def test_a_wrong_model_on_the_command_line_is_one_sentence(tmp_path: Path) -> None:
    _, lines = await typed(tmp_path, "hi", model="nope:x")
    assert any("no provider 'nope'" in line for line in lines)


def test_every_command_has_a_meaning_of_one_line() -> None:
    assert all(command.meaning and "\n" not in command.meaning for command in COMMANDS.values())
    promised = (
        "model",
        "models",
        "delegate",
        "consult",
        "tools",
        "cost",
        "sessions",
        "resume",
        "save",
        "help",
        "quit",
    )
    assert {f"/{name}" for name in promised} <= set(COMMANDS)


async def test_delegating_to_a_local_model_takes_files_and_a_ladder_and_shows_the_receipt(
    tmp_path: Path,
) -> None:
    answer = {"text": "Seven wrens.", "final": {"done": True, "done_reason": "stop", "eval_count": 4}}
    recited = {"models": [{"name": "small"}], "answers": [answer]}
    (tmp_path / "recited.json").write_text(json.dumps(recited), encoding="utf-8")
    (tmp_path / "notes.md").write_text("Seven wrens came.\n", encoding="utf-8")
    server = {"command": "understudy-ollama", "args": [".", "--host", "recited:recited.json"]}
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"ollama": server}}), encoding="utf-8")
    lead = script(tmp_path, "So seven.")
    cloud = script(tmp_path, "a cloud's word", name="cloud.jsonl")
    _, lines = await typed(
        tmp_path,
        f"/delegate ollama:small,{cloud} Count the birds in @notes.md",
        "How many?",
        f"/delegate ollama:away,{cloud} Say a word.",
        f"/delegate {cloud},small Say it.",
        model=lead,
        mcp=tmp_path / "mcp.json",
    )
    assert "  worker ollama:small │ ⇒ worker small: Count the birds in @notes.md" in str(lines)
    assert any("profile: " in line for line in lines) and said(lines) == ["So seven."], lines
    assert any("before: away refused: " in line for line in lines)
    (used,) = [line for line in lines if line.startswith("  worker ollama:small │ · ")]
    assert used.startswith("  worker ollama:small │ · 4 tokens out, ") and used.endswith("$0"), used
    assert "answer" not in used  # recorded seconds stand in the receipt, which says that they are
    assert any(line.endswith(f"rung {cloud} │ a cloud's word") for line in lines), lines
    assert any("small stands behind" in line for line in lines)
    texts = [m.text for m in last_history()]
    assert texts[:2] == ["Count the birds in @notes.md", "[delegate, answer of small] Seven wrens."]
    assert f"[delegate, answer of {cloud}] a cloud's word" in texts


def test_a_panels_usage_tells_one_model_from_several() -> None:
    """By its members' names alone, since what they take is not known when a conversation starts."""
    for one in PANELS:
        kinds = {parameter.name: parameter.kind for parameter in parameters(one.use)}
        several = ["M,M" if kinds[name] != "model" else name.upper() for name in BY_USE[one.use].members]
        assert one.usage.split()[1] == ",".join(several)
