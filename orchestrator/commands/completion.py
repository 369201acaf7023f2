"""Print a script that completes commands, options and their values in bash, zsh or fish."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

EXAMPLES = """\
examples:
  eval "$(understudy completion bash)"                                      in ~/.bashrc
  eval "$(understudy completion zsh)"                                       in ~/.zshrc, after compinit
  understudy completion fish > ~/.config/fish/completions/understudy.fish
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Option:
    names: tuple[str, ...]
    meaning: str
    valued: bool
    choices: tuple[str, ...]
    file: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Command:
    """One command; that without a name is the program itself."""

    name: str
    words: tuple[tuple[str, str], ...]  # what may stand there that is no option, with its meaning
    options: tuple[_Option, ...]


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=sorted(_SHELLS))


def run(options: argparse.Namespace) -> int:
    parser_of: Callable[[str | None], argparse.ArgumentParser] = options.parser_of
    top = _described("", parser_of(None))
    commands = [_described(name, _sub(parser_of(name))[name]) for name, _ in top.words]
    sys.stdout.write(_SHELLS[options.shell]([top, *commands]))
    return 0


def _described(name: str, parser: argparse.ArgumentParser) -> _Command:
    words: list[tuple[str, str]] = []
    found: list[_Option] = []
    for action in _actions(parser):
        choices = tuple(str(one) for one in action.choices or ())
        if isinstance(action, argparse._SubParsersAction):  # pyright: ignore[reportPrivateUsage]
            meanings = {one.dest: one.help for one in action._choices_actions}  # pyright: ignore[reportPrivateUsage]
            words += [(word, meanings.get(word) or "") for word in choices]
            found += [option for inner in _sub(parser).values() for option in _described("", inner).options]
        elif not action.option_strings:
            words += [(word, "") for word in choices if not word.startswith("-")]
        elif action.help != argparse.SUPPRESS:
            found.append(_option(action, choices))
    unique = {option.names: option for option in found}  # actions of one command share options
    return _Command(name=name, words=tuple(words), options=tuple(unique.values()))


def _option(action: argparse.Action, choices: tuple[str, ...]) -> _Option:
    told = action.help % {**vars(action), "prog": "understudy"} if action.help else ""
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    return _Option(
        names=tuple(action.option_strings),
        meaning=" ".join(told.split()).partition(";")[0],
        valued=action.nargs != 0,
        choices=choices,
        file=any(word in metavar for word in ("FILE", "PATH", "DIR", "FOLDER")),
    )


def _actions(parser: argparse.ArgumentParser) -> Sequence[argparse.Action]:
    return parser._actions  # pyright: ignore[reportPrivateUsage]  # argparse has no public list of them


def _sub(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in _actions(parser):
        if isinstance(action, argparse._SubParsersAction):  # pyright: ignore[reportPrivateUsage]
            return dict(action.choices)
    return {}


def _bash(commands: Sequence[_Command]) -> str:
    values = "".join(
        f"    {_places(command, option)}) {_bash_values(option)} ;;\n"
        for command, option in _with_values(commands)
    )
    words = "".join(
        f'    {command.name or "-"}) words="{" ".join(word for word, _ in command.words)}" '
        f'options="{" ".join(name for option in command.options for name in option.names)}" ;;\n'
        for command in commands
    )
    return _BASH.replace("VALUES\n", values).replace("WORDS\n", words)


def _places(command: _Command, option: _Option) -> str:
    return "|".join(f"{command.name or '-'}:{name}" for name in option.names)


def _bash_values(option: _Option) -> str:
    if option.choices:
        return f'words="{" ".join(option.choices)}"'
    return "_understudy_files; return" if option.file else "return"


def _with_values(commands: Sequence[_Command]) -> Iterator[tuple[_Command, _Option]]:
    return ((command, option) for command in commands for option in command.options if option.valued)


_BASH = """\
# bash completion of understudy; made by: understudy completion bash
_understudy_files() {
  local IFS=$'\\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen -f -- "$cur"))
}
_understudy() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=- words="" options="" i
  COMPREPLY=()
  if [ "$cur" = = ]; then cur=""; elif [ "$prev" = = ]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in -*) ;; *) command=${COMP_WORDS[i]}; break ;; esac
  done
  case $command:$prev in
VALUES
  esac
  if [ -z "$words" ]; then
    case $command in
WORDS
    esac
    case $cur in
      -*) words=$options ;;
      *) if [ "$command" != - ]; then _understudy_files; fi ;;
    esac
  fi
  COMPREPLY+=($(compgen -W "$words" -- "$cur"))
}
complete -F _understudy understudy
"""


def _zsh(commands: Sequence[_Command]) -> str:
    values = "".join(
        f"    {_places(command, option)}) {_zsh_values(option)}; return ;;\n"
        for command, option in _with_values(commands)
    )
    words = "".join(f"    {command.name or '-'}) found=({_zsh_words(command)}) ;;\n" for command in commands)
    return _ZSH.replace("VALUES\n", values).replace("WORDS\n", words)


def _zsh_values(option: _Option) -> str:
    if option.choices:
        return f"compadd -- {' '.join(option.choices)}"
    return "_files" if option.file else "_message value"


def _zsh_words(command: _Command) -> str:
    named = [(name, option.meaning) for option in command.options for name in option.names]
    return " ".join(_quoted(f"{name}:{meaning}") for name, meaning in [*command.words, *named])


_ZSH = """\
#compdef understudy
# zsh completion of understudy; made by: understudy completion zsh
_understudy() {
  local cmd=- word
  local -a found
  for word in ${words[2,CURRENT-1]}; do
    case $word in -*) ;; *) cmd=$word; break ;; esac
  done
  case $cmd:${words[CURRENT-1]} in
VALUES
  esac
  case $cmd in
WORDS
  esac
  _describe understudy found
  if [[ $cmd != - && ${words[CURRENT]} != -* ]]; then _files; fi
}
if [ "$funcstack[1]" = _understudy ]; then _understudy "$@"; else compdef _understudy understudy; fi
"""


def _fish(commands: Sequence[_Command]) -> str:
    return "# fish completion of understudy; made by: understudy completion fish\n" + "".join(
        line for command in commands for line in _fish_lines(command)
    )


def _fish_lines(command: _Command) -> Iterator[str]:
    where = f"__fish_seen_subcommand_from {command.name}" if command.name else "__fish_use_subcommand"
    start = f"complete -c understudy -n {_quoted(where)}"
    for word, meaning in command.words:
        yield f"{start} -f -a {word}" + (f" -d {_fish_quoted(meaning)}" if meaning else "") + "\n"
    for option in command.options:
        flags = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names]
        if option.choices:
            flags.append(f"-x -a {_quoted(' '.join(option.choices))}")
        elif option.valued:
            flags.append("-r -F" if option.file else "-x")
        yield f"{start} {' '.join(flags)} -d {_fish_quoted(option.meaning)}\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_SHELLS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
