"""What is known about programs: which start others, which options do more than the program's name says.

Pure tables and the small grammars to read them. Sources: the programs' own manuals, GTFOBins.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from .git_args import git_trouble

SHELLS = frozenset({"sh", "bash", "dash", "ksh", "mksh", "ash"})
"""Their scripts can be read here."""

STRANGE_SHELLS = frozenset({"zsh", "fish", "csh", "tcsh", "pwsh", "nu", "xonsh", "elvish"})
"""Shells with grammars of their own."""

BUILTINS = frozenset(
    {
        "echo",
        "printf",
        "true",
        "false",
        ":",
        "pwd",
        "test",
        "[",
        "exit",
        "return",
        "break",
        "continue",
        "shift",
        "wait",
        "set",
        "shopt",
        "getopts",
        "cd",
        "pushd",
        "popd",
        "read",
        "export",
        "declare",
        "typeset",
        "local",
        "readonly",
        "unset",
        "jobs",
        "umask",
        "times",
        "type",
    }
)
"""Run by bash itself, whatever PATH says."""

SETTERS = frozenset(
    {
        "read",
        "printf",
        "getopts",
        "export",
        "declare",
        "typeset",
        "local",
        "readonly",
        "mapfile",
        "readarray",
        "unset",
        "wait",
    }
)
"""Builtins that set a variable named among their arguments."""

DECLARERS = frozenset({"declare", "typeset", "local"})

SHELL_SWITCHES = frozenset(
    {"extglob", "globstar", "nullglob", "failglob", "lastpipe", "inherit_errexit", "nocasematch"}
)
"""Switches of shopt that change nothing a decision rests on."""

INERT = BUILTINS - {"cd", "pushd"} | {
    "sleep", "whoami", "id", "groups", "uname", "arch", "nproc", "uptime", "seq", "basename", "dirname", "expr", "factor",
    "which", "tty", "yes", "cal", "printenv", "locale", "getconf", "free", "ps", "pgrep", "lscpu", "logname",
}  # fmt: skip
"""Allowed with any argument: they print, or change only the shell they run in."""

READERS: dict[str, int] = {
    **dict.fromkeys(
        ["cd", "pushd", "cat", "tac", "head", "tail", "nl", "wc", "ls", "stat", "du", "df", "file", "cut", "paste", "join", "comm", "fold",
         "fmt", "expand", "unexpand", "rev", "column", "od", "hexdump", "strings", "cmp", "diff", "sort", "uniq", "tree",
         "md5sum", "sha1sum", "sha256sum", "sha512sum", "b2sum", "cksum", "sum", "base64", "base32", "readlink",
         "realpath", "tsort", "nm", "size", "objdump", "readelf", "find", "date", "tr"], 0),
    **dict.fromkeys(["grep", "egrep", "fgrep", "rg", "jq", "sed"], 1),
}  # fmt: skip
"""Allowed when they read inside the workspace: how many leading operands are patterns, not paths."""

WRITERS = frozenset({"tee", "touch", "mkdir", "rm", "rmdir", "unlink", "mv", "truncate", "shred"})
"""Programs that write, inside the workspace and outside its protected places, what a redirection may write too."""

PATTERN_FIRST = frozenset({"grep", "egrep", "fgrep", "rg", "jq"})

VALUED: dict[str, frozenset[str]] = {
    name: frozenset(options.split())
    for name, options in {
        "cut": "-d -f -c -b --delimiter --output-delimiter", "sort": "-t -k", "paste": "-d", "column": "-s -N -o",
        "join": "-t -o -e -j -1 -2", "nl": "-s -w -b", "head": "-n -c", "tail": "-n -c", "grep": "-e -A -B -C -m",
        "egrep": "-e -A -B -C -m", "fgrep": "-e -A -B -C -m", "rg": "-e -A -B -C -g -t -T -m -r --regexp --glob",
        "find": "-name -iname -path -ipath -regex -iregex -type -size -mtime -mmin -maxdepth -mindepth -printf -perm -user",
        "tree": "-I -P -L", "ls": "-I", "stat": "-c --format", "date": "-d --date", "od": "-A -t -j -N", "diff": "-I -x",
        "du": "-d", "fold": "-w", "fmt": "-w", "base64": "-w", "strings": "-n", "xxd": "-l -s -c",
    }.items()
}  # fmt: skip
"""Options of theirs whose value is no path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapper:
    """A program that starts another: the options it may carry, so that the other one can be found."""

    plain: str = ""  # short options without a value
    valued: str = ""  # short options with one
    long: tuple[str, ...] = ()
    long_valued: tuple[str, ...] = ()
    skip: int = 0  # operands before the command
    assigns: bool = False  # NAME=value operands before the command
    feeds: bool = False  # adds arguments nobody has seen


WRAPPERS: dict[str, Wrapper] = {
    "env": Wrapper(plain="i0v-", valued="u", long=("ignore-environment", "null"), long_valued=("unset",), assigns=True),
    "command": Wrapper(plain="p"),
    "builtin": Wrapper(),
    "exec": Wrapper(plain="cl", valued="a"),
    "nohup": Wrapper(),
    "nice": Wrapper(plain="0123456789", valued="n", long_valued=("adjustment",)),
    "ionice": Wrapper(plain="t", valued="cn", long=("ignore",), long_valued=("class", "classdata")),
    "timeout": Wrapper(
        plain="v", valued="ks", long=("foreground", "preserve-status", "verbose"),
        long_valued=("signal", "kill-after"), skip=1,
    ),
    "time": Wrapper(plain="pv", long=("portability", "verbose")),
    "stdbuf": Wrapper(valued="ioe", long_valued=("input", "output", "error")),
    "setsid": Wrapper(plain="cfw", long=("ctty", "fork", "wait")),
    "xargs": Wrapper(
        plain="0rtxo", valued="dEILnPs", long=("null", "no-run-if-empty", "verbose"),
        long_valued=("max-args", "max-procs", "delimiter", "max-lines"), feeds=True,
    ),
    "sudo": Wrapper(plain="AbEHknPSi", valued="CDghpRrTtUu", assigns=True),
    "doas": Wrapper(plain="Lns", valued="Cu"),
    "busybox": Wrapper(),
    "toybox": Wrapper(),
    "chroot": Wrapper(skip=1, long=("skip-chdir",), long_valued=("userspec", "groups")),
    "strace": Wrapper(plain="cCdfFhiqrtTvVxyz", valued="eEIoOPpsSu"),
    "ltrace": Wrapper(plain="cCfhiLrStTV", valued="aAeDFlnopsux"),
    "unshare": Wrapper(plain="imnpuUCTfrc"),
    "chrt": Wrapper(plain="bfiorRav", skip=1),
    "taskset": Wrapper(plain="ac", skip=1),
    "caffeinate": Wrapper(plain="disu", valued="t"),
    "catchsegv": Wrapper(),
}  # fmt: skip

TRANSPARENT = frozenset(
    {"env", "command", "builtin", "exec", "nohup", "nice", "ionice", "timeout", "time", "stdbuf", "setsid", "xargs",
     "busybox", "toybox", "chrt", "taskset", "caffeinate", "catchsegv"}
)  # fmt: skip
"""Wrappers that are as harmless as what they start; the others are judged by their own name too."""

RUNNERS = (
    "uv run",
    "poetry run",
    "pipenv run",
    "pdm run",
    "hatch run",
    "rye run",
    "bundle exec",
    "npx",
    "npm exec",
    "npm x",
    "pnpm exec",
    "yarn exec",
)
"""Project runners: what follows them is judged as well."""

RUNNER_OPTIONS: dict[str, bool] = {
    **dict.fromkeys(
        ["--frozen", "--locked", "--no-sync", "--offline", "--isolated", "--exact", "--active", "--all-extras", "--all-groups", "--dev", "--no-dev", "--quiet", "-q", "--verbose", "-v", "--yes", "-y", "--no-install", "--no"], False),
    **dict.fromkeys(["--group", "--extra", "--only-group", "--python", "-p", "--package", "--with", "--color"], True),
}  # fmt: skip
"""Their options that leave what is run as it is, and whether the next word belongs to them."""

# long options (any unambiguous shortening counts) and short letters that write, or run another program
_OPTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "sort": (("output", "compress-program", "temporary-directory", "files0-from"), "oT"),
    "rg": (("pre", "pre-glob", "hostname-bin", "search-zip"), "z"),
    "tree": ((), "oR"),
    "file": (("compile", "magic-file"), "Cm"),
    "date ": (("set",), "s"),
    "wc": (("files0-from",), ""),
    "du": (("files0-from",), ""),
    "diff": (("to-file", "from-file"), ""),
    "jq": (("from-file", "rawfile", "slurpfile"), "fL"),
    "tar": (
        ("checkpoint-action", "to-command", "use-compress-program", "info-script", "new-volume-script", "rsh-command",
         "rmt-command", "absolute-names"), "IFP"),
    "rsync": (("rsh", "rsync-path"), "e"),
    "zip": (("unzip-command", "test"), "T"),
    "make": (("eval", "file", "makefile", "directory", "include-dir"), "EfCI"),
    "man": (("pager", "html", "preprocessor"), "PHX"),
    "ssh": ((), "oFE"),
    "curl": (("config", "output", "remote-name", "upload-file", "output-dir"), "KoOT"),
    "wget": (("use-askpass", "execute", "output-document", "output-file", "config"), "eOoP"),
    "fd": (("exec", "exec-batch"), "xX"),
    "less": (("log-file", "lesskey-file", "lesskey-src"), "oOk"),
    "go": ((), ""),
    "yq": (("inplace",), "i"),
    "xxd": ((), "r"),
    "nm": (("plugin",), ""),
}  # fmt: skip

_FIND = re.compile(
    r"-(?:i?name|i?path|i?wholename|i?regex|regextype|x?type|size|[mac]time|[mac]min|[ac]?newer|(?:max|min)?depth"
    r"|print0?|printf|ls|prune|o|a|or|and|not|empty|perm|user|group|links|inum|samefile|x?mount|xdev|daystart|follow"
    r"|readable|writable|executable|true|false|quit|[HLP]|O[0-3]|\d.*)"
)
_SED = re.compile(
    r"""\s*(?:(?:\d+|\$|/(?:[^/\\\n]|\\.)*/I?)(?:\s*,\s*(?:\+?\d+|\$|/(?:[^/\\\n]|\\.)*/I?))?\s*!?\s*)?
    (?:[pdqDPNnhHgGx=]|q\s*\d+|s([/|,\#:@!])(?:(?!\1)[^\\\n]|\\.)*\1(?:(?!\1)[^\\\n]|\\.)*\1[gpiI0-9]*)?\s*""",
    re.VERBOSE,
)
_AWK = re.compile(r"system|getline|[|>@]|\bclose\b|fflush|ARGV|ENVIRON")


def flag_trouble(program: str, args: list[str | None]) -> str | None:
    """The argument that makes this program do more than its name says, or None.

    None among the arguments is one only the shell knows.
    """
    if program in _BINUTILS and any(arg is None or arg.startswith("@") for arg in args):
        return "an argument that stands for what a file says"
    if program in _CHECKS:
        return _CHECKS[program](args)
    if program not in _OPTIONS:
        return None
    long, short = _OPTIONS[program]
    for arg in args:
        if arg is None:
            return "an argument that only the shell knows"
        if arg == "--":
            return None
        if arg.startswith("--"):
            name = arg[2:].partition("=")[0]
            if name and any(option.startswith(name) for option in long):
                return arg
        elif arg.startswith("-"):
            if any(letter in arg[1:] for letter in short):
                return arg
        elif program == "make" and _MAKE_VARIABLE.match(arg):
            return arg
    return None


_BINUTILS = frozenset({"nm", "size", "strings", "objdump", "readelf"})
_MAKE_VARIABLE = re.compile(r"[A-Z_]*SHELL\w*\s*[:?+]?=|MAKE\w*=")


def runs_code(program: str, args: list[str | None]) -> bool:
    """Whether the arguments themselves are a program, in a language nobody here reads."""
    wanted = _CODE.get(program) or _CODE.get(re.sub(r"[\d.]+$", "", program))
    return bool(wanted) and any(arg is None or re.match(wanted, arg) for arg in args)


_CODE = {
    "python": r"-[A-Za-z]*c|-$", "pypy": r"-[A-Za-z]*c", "node": r"-[a-z]*[ep]|--eval|--print", "perl": r"-[A-Za-z]*[eE]",
    "ruby": r"-[A-Za-z]*e", "php": r"-r", **dict.fromkeys(STRANGE_SHELLS, r"(?i)-[a-z]*c|--command|-command"), "lua": r"-e", "deno": r"eval", "bun": r"-e",
}  # fmt: skip


def _find(args: list[str | None]) -> str | None:
    for arg in args:
        if arg is None:
            return "an argument that only the shell knows"
        if arg.startswith("-") and not _FIND.fullmatch(arg):
            return arg
    return None


def _sed(args: list[str | None]) -> str | None:
    script_given, scripts, rest = False, list[str](), list(args)
    while rest:
        arg = rest.pop(0)
        if arg is None:
            return "an argument that only the shell knows"
        if arg in ("-e", "--expression"):
            script_given = True
            scripts.append((rest.pop(0) if rest else "") or "?")
        elif re.fullmatch(r"-[nEruzs]+|--quiet|--silent|--regexp-extended|--posix|--null-data", arg):
            pass
        elif arg.startswith("-") and arg != "-":
            return arg
        elif not script_given and not scripts:
            scripts.append(arg)
    for script in scripts:
        for command in _sed_commands(script):
            if not _SED.fullmatch(command):
                return command.strip()
    return None


def _sed_commands(script: str) -> list[str]:
    """The script cut at `;` and newlines, but not within s/// or an address."""
    parts, start, place = list[str](), 0, 0
    while place < len(script):
        found = _SED.match(script, place)
        end = found.end() if found and found.end() > place else place + 1
        if end < len(script) and script[end] in ";\n":
            parts.append(script[start:end])
            start = end + 1
            end += 1
        place = end
    return [*parts, script[start:]]


def _awk(args: list[str | None]) -> str | None:
    rest = list(args)
    while rest:
        arg = rest.pop(0)
        if arg is None:
            return "an argument that only the shell knows"
        if arg in ("-F", "-v"):
            rest = rest[1:]
        elif re.match(r"-[Fv].", arg) or arg == "--":
            pass
        elif arg.startswith("-"):
            return arg
        else:
            return "a program that can start others" if _AWK.search(arg) else None
    return None


def _uniq(args: list[str | None]) -> str | None:
    operands = [arg for arg in args if arg is None or not arg.startswith("-")]
    return "a second file, which uniq writes" if len(operands) > 1 else None


def _date(args: list[str | None]) -> str | None:
    plain = VALUED["date"]
    for before, arg in zip([None, *args], args, strict=False):
        if arg is None or (not arg.startswith(("+", "-")) and before not in plain):
            return "an operand, which sets the clock"
    return flag_trouble("date ", args)


def _jobs(args: list[str | None]) -> str | None:
    return next(
        (arg or "an argument that only the shell knows" for arg in args if arg is None or "x" in arg), None
    )


def _shopt(args: list[str | None]) -> str | None:
    return next(
        (
            arg or "a switch"
            for arg in args
            if arg not in SHELL_SWITCHES and arg not in ("-s", "-u", "-q", "-p")
        ),
        None,
    )


_CHECKS: dict[str, Callable[[list[str | None]], str | None]] = {
    "find": _find, "date": _date, "jobs": _jobs, "shopt": _shopt, "sed": _sed, "awk": _awk, "gawk": _awk, "mawk": _awk, "nawk": _awk, "uniq": _uniq, "git": git_trouble,
}  # fmt: skip

SHELL_VARIABLES = re.compile(
    r"BASH_.*|ENV|SHELLOPTS|BASHOPTS|PS4|PROMPT_COMMAND|CDPATH|LD_(?!LIBRARY_PATH).*|DYLD_.*|IFS"
)
"""Variables that make the shell itself, or every program, run something else."""

RISKY_VARIABLES = re.compile(
    r"PATH|IFS|ENV|SHELL|HOME|EDITOR|VISUAL|.*PAGER|BROWSER|CDPATH|GLOBIGNORE|PROMPT_COMMAND|PS[0-4]|SHELLOPTS|BASHOPTS"
    r"|LD_.*|DYLD_.*|BASH_.*|GIT_.*|LESS.*|PYTHON.*|NODE_.*|NPM_.*|npm_.*|PERL.*|RUBY.*|JAVA_.*|_JAVA.*|JDK_.*"
    r"|GCONV_PATH|LOCPATH|MALLOC_.*|GREP_OPTIONS|RIPGREP_CONFIG_PATH|TAR_OPTIONS|MAKEFLAGS|.*_OPTIONS|RUSTC.*|CARGO_.*"
    r"|CC|CXX|LESSOPEN|MANOPT|TERMINFO|SSL_.*|.*_WRAPPER|RUSTFLAGS|GOFLAGS|XDG_.*"
)
"""Variables that decide which code a harmless program runs."""
