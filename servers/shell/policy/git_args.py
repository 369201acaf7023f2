"""What git's own words say: its subcommand, the places it names, the options that go beyond it."""

from __future__ import annotations

import re

_GIT_GLOBAL = re.compile(
    r"--no-pager|-P|--no-optional-locks|--literal-pathspecs|--no-replace-objects|--version|--help"
)
_GIT_BAD = (
    "output", "ext-diff", "textconv", "open-files-in-pager", "upload-pack", "receive-pack", "exec", "filters",
    "no-index", "contents", "template", "config", "git-dir", "work-tree", "exec-path", "config-env", "separate-git-dir",
)  # fmt: skip
_GIT_LISTING: dict[str, str] = {
    "branch": r"-[arv]+|-vv|--(?:list|all|remotes|show-current|contains|merged|no-merged|verbose|sort|format|points-at)(?:=.*)?",
    "tag": r"-l|-n\d*|--(?:list|contains|merged|no-merged|sort|format|points-at)(?:=.*)?",
    "remote": r"-v|--verbose|show|get-url",
    "stash": r"list|show|-p|--patch|--stat|stash@\{\d+\}",
    "config": r"--(?:get|get-all|list|get-regexp|local|show-origin|show-scope)|-l|-z|get|list|[\w.*][\w.*-]*",
    "worktree": r"list|--porcelain",
    "reflog": r"show|-\d+|-n|\d+|--oneline|(?!expire|delete|drop)[\w/.-]+",
}


def git_subcommand(args: list[str | None]) -> tuple[str | None, list[str | None]]:
    """The subcommand behind git's own options, and its arguments."""
    rest = list(args)
    while rest and (rest[0] is None or rest[0].startswith("-")):
        option = rest.pop(0)
        if (
            option
            in ("-C", "-c", "--git-dir", "--work-tree", "--namespace", "--super-prefix", "--config-env")
            and rest
        ):
            rest.pop(0)
    return (rest[0] if rest else None), rest[1:]


def git_trouble(args: list[str | None]) -> str | None:
    """The first argument that may run, write or set something beyond what the subcommand is for; None when none does."""
    words = iter(args)
    for option in words:
        if option is None or not option.startswith("-"):
            break
        if option == "-C":
            next(words, None)
        elif not _GIT_GLOBAL.fullmatch(option):
            return option
    name, own = git_subcommand(args)
    for arg in own:
        if arg is None:
            return None if name in ("add", "commit") else "an argument that only the shell knows"
        if arg.startswith("--") and len(arg) > 2:
            option = arg[2:].partition("=")[0]
            if option in _GIT_BAD or (len(option) > 3 and any(bad.startswith(option) for bad in _GIT_BAD)):
                return arg
        elif name == "grep" and re.match(r"-\w*O", arg):
            return arg
        if name in _GIT_LISTING and not re.fullmatch(_GIT_LISTING[name], arg):
            return arg
    if name == "stash" and (not own or own[0] not in ("list", "show")):
        return "stash"
    if (
        name == "config"
        and len(own) != 1
        and not any(re.match(r"--get|--list|-l$|get$|list$", arg or "") for arg in own[:2])
    ):
        return "config that may set something"
    return None


def git_places(args: list[str | None]) -> list[str]:
    """The arguments of git that name places absolutely or upwards, its own folder among them."""
    found: list[str] = []
    for arg in args:
        text = re.sub(r"^(?:--[\w-]+=|-[A-FH-KM-RT-Za-z])", "", arg or "")
        if not re.search(r"\s", text) and (text.startswith(("/", "~")) or ".." in text.split("/")):
            found.append(text)
    return found
