"""List, read, replay, search, export, import, fork, delete and repair kept conversations."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError
from . import options as common

if TYPE_CHECKING:
    from ..store.store import Kept, Store

EXAMPLES = """\
ID is an id, the beginning of one, the name of an agent, or 'last'.

examples:
  understudy sessions                              the newest conversations
  understudy sessions search "parser bug"
  understudy sessions show last
  understudy sessions replay last                  the screen once more, as it was
  understudy sessions export last --to talk.md     or talk.jsonl, with everything
  understudy sessions import talk.jsonl            on another machine; it is the same there
  understudy sessions fork last --rounds 3         begin again after the third round
  understudy sessions delete 4f2a
  understudy sessions repair                       save what can be read of a damaged file, and begin
                                                   anew; a sound one stays as it is, exit code 0
  understudy chat --resume last
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        nargs="?",
        default="list",
        choices=["list", "show", "replay", "search", "export", "import", "fork", "delete", "repair"],
        metavar="ACTION",
        help="list (default), show, replay, search, export, import, fork, delete, repair",
    )
    parser.add_argument(
        "which", nargs="*", metavar="ID", help="which conversation; for search, the words; for import, files"
    )
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="at most N lines (default: 20)")
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="fork: keep the first N rounds (default: all)"
    )
    parser.add_argument(
        "--to", type=Path, metavar="FILE", help="export: .md or .jsonl; standard output without it"
    )
    parser.add_argument(
        "--format", choices=["rich", "plain", "json", "markdown"], help="replay: how to show what happened"
    )
    common.add_json(parser)


def run(options: argparse.Namespace) -> int:
    from ..store.store import Store

    if options.action == "repair":
        return _repair(options)
    store = Store()
    try:
        return _ACTIONS[options.action](store, options)
    finally:
        store.close()


def _list(store: Store, options: argparse.Namespace) -> int:
    from ..sanitize import one_line
    from ..store.transcript import moment

    kept = store.sessions(options.limit)
    if options.json:
        common.print_json({"sessions": [asdict(one) for one in kept]})
    else:
        lines = [
            f"{one.id}  {moment(one.updated_at)}  {one.messages:4} messages  {one_line(one.model, 60) or '-'}  {one_line(one.name or one.title, 100)}\n"
            for one in kept
        ]
        sys.stdout.write("".join(lines) or "there is no conversation yet; 'understudy chat' begins one\n")
    return 0


def _show(store: Store, options: argparse.Namespace) -> int:
    from ..terminal.display import Display

    kept = _one(store, options)
    history = store.history(kept.id)
    if options.json:
        common.print_json({"session": asdict(kept), "messages": [asdict(message) for message in history]})
    else:
        Display().show_conversation_summary(history)
    return 0


def _replay(store: Store, options: argparse.Namespace) -> int:
    from ..config.load import load_config
    from ..events import RunStarted
    from ..store.records import is_main
    from ..store.replay import inherited, replay
    from ..terminal.display import Display

    kept = _one(store, options)
    display = Display(
        settings=load_config(display__format="json" if options.json else options.format).display
    )
    if begin := inherited(store, kept.id):
        display.show_conversation_summary(begin)
    for event in replay(store, kept.id):
        if isinstance(event, RunStarted) and is_main(event):
            display.asked(event.prompt)
        display(event)
    return 0


def _search(store: Store, options: argparse.Namespace) -> int:
    from ..store.transcript import moment

    found = store.search(" ".join(options.which), options.limit)
    if options.json:
        common.print_json({"found": [asdict(one) for one in found]})
    else:
        lines = [f"{one.session}  {moment(one.at)}  {one.role}: {one.excerpt}\n" for one in found]
        sys.stdout.write("".join(lines) or "no message holds these words\n")
    return 0


def _export(store: Store, options: argparse.Namespace) -> int:
    from ..store.archive import as_jsonl, export
    from ..store.transcript import as_markdown

    kept = _one(store, options)
    if options.to is not None:
        export(store, kept, options.to)
        if options.json:
            common.print_json({"session": kept.id, "file": str(options.to)})
        else:
            sys.stdout.write(f"{kept.id} is in {options.to}\n")
    else:
        lines = as_jsonl(store, kept) if options.json else as_markdown(kept, store.entries(kept.id))
        sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


def _import(store: Store, options: argparse.Namespace) -> int:
    from ..store.archive import read_in

    if not options.which:
        raise ConfigError(
            "say which file to read in; 'understudy sessions export ID --to FILE.jsonl' writes one"
        )
    kept: list[Kept] = []
    for name in options.which:
        try:
            with Path(name).open(encoding="utf-8-sig") as file:
                kept.append(read_in(store, file, name))
        except OSError as exc:
            raise ConfigError(f"{name} cannot be read: {exc.strerror or exc}") from exc
        except UnicodeDecodeError as exc:
            raise ConfigError(f"{name} is not UTF-8, so it is no conversation that was exported") from exc
    if options.json:
        common.print_json({"sessions": [asdict(one) for one in kept]})
    else:
        sys.stdout.writelines(
            f"{one.id} is here now, {one.messages} messages; understudy chat --resume {one.id} goes on\n"
            for one in kept
        )
    return 0


def _fork(store: Store, options: argparse.Namespace) -> int:
    new = store.fork(_one(store, options).id, rounds=options.rounds)
    if options.json:
        common.print_json({"session": asdict(store.find(new))})
    else:
        sys.stdout.write(f"{new} begins there; understudy chat --resume {new} goes on\n")
    return 0


def _delete(store: Store, options: argparse.Namespace) -> int:
    from ..store.database import process

    if not options.which:
        raise ConfigError("say which to delete: an id, or several")
    gone = [store.find(which) for which in options.which]  # all of them exist, or none is deleted
    working = {kept.id: set(store.under_way(kept.id).values()) for kept in gone}
    for kept in gone:
        store.delete(kept.id)
    if options.json:
        common.print_json({"deleted": [kept.id for kept in gone]})
    else:
        for kept in gone:
            sys.stdout.write(f"{kept.id} is deleted: {json.dumps(kept.title)}\n")
            for pid in sorted(working[kept.id]):
                sys.stdout.write(f"{process(pid)} was in the middle of a turn of it, which is not kept\n")
    return 0


def _repair(options: argparse.Namespace) -> int:
    from contextlib import closing

    from ..store.repair import damage, repair
    from ..store.store import Damaged, Store

    path = Store.place()
    try:
        with closing(Store(path)) as store:
            found = damage(store.database)
    except Damaged as exc:
        found = exc
    saved = repair(path) if found is not None else None
    if options.json:
        told = (
            {"sessions": saved.sessions, "messages": saved.messages, "old": str(saved.old)} if saved else {}
        )
        common.print_json({"repaired": saved is not None} | told)
    elif saved is None:
        sys.stdout.write(f"nothing to repair: {path} is sound\n")
    else:
        sys.stdout.write(
            f"{saved.sessions} conversations with {saved.messages} messages are saved; the damaged file is {saved.old}\n"
        )
    return 0


def _one(store: Store, options: argparse.Namespace) -> Kept:
    if len(options.which) > 1:
        raise ConfigError(f"wanted one conversation, found {len(options.which)} words")
    return store.find(options.which[0] if options.which else "last")


_ACTIONS = {
    "list": _list,
    "show": _show,
    "replay": _replay,
    "search": _search,
    "export": _export,
    "import": _import,
    "fork": _fork,
    "delete": _delete,
}
