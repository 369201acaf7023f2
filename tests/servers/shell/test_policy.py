"""What the policy says of a command: a table, the laws behind it, and the file a user can write."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from servers.shell.policy.judge import Judge
from servers.shell.policy.rules import BUILT_IN, Policy, load

ROOT = Path("/srv/project")
BUILT = Judge(policy=BUILT_IN, root=ROOT, level="bwrap", path="/usr/bin:/bin")
BARE = replace(BUILT, level="none")
OWN = replace(
    BUILT,
    policy=Policy(
        allow=frozenset(["echo", "ls", "cat", "git status", "rg", "make", "find", "env", "bash", "awk"]),
        ask=frozenset(["git push"]),
        deny=frozenset(["sudo"]),
    ),
)

# the built-in policy in a sandbox, and a user's own: the first letters of allow, ask, deny
TABLE = r"""
a a  ls -la
a a  cat notes.txt src/*.py
a a  echo "a b" 'c' > out.txt
a a  cat *
a a  cat <<EOF\nhi $x\nEOF
a a  ls && ls || ls; ls | cat
a a  ! ls
a a  time ls
a a  echo $((1+2))
a a  [ -f x ] && cat x
a a  f() { ls; }; f
a a  eval ls
a a  bash -c 'ls'
a a  bash -lc 'cat x && ls'
a a  env FOO=1 ls
a a  env -i ls
a a  nice -n 5 ls
a a  timeout -s KILL 5 ls
a a  command -v python
a a  xargs -0 -n1 echo
a a  find . -name '*.py' -maxdepth 2 -exec ls {} +
a a  for f in *.py a.txt; do cat "$f"; done
a a  git status --short
a a  git -C sub status
a a  rg -n foo src
a a  make test
a k  sort x | uniq -c | head
a k  wc -l *.py
a k  grep -rn "/etc/passwd" .
a k  cut -d / -f 2 x
a k  diff <(sort a) <(sort b)
a k  find . -name '*.py' | xargs grep foo
a k  ls | head -n 5
a k  cd sub && pwd
a k  x=$(git rev-parse HEAD); echo $x
a k  sed -n '1,5p' a.txt
a k  sed -n '/a/,/b/p;5q' x
a a  awk '{print $1}' x
a k  python3 -m pytest -q
a k  PYTHONPATH=src pytest -x 2>&1 | tail -20
a k  python3 script.py --flag
a k  python3 -c 'print(1)'
a k  .venv/bin/pytest
a k  ./run.sh
a k  npm test
a k  npm run build
a k  cargo test
a k  cargo +nightly build
a k  go test ./...
a k  uv run pytest
a k  git log --oneline -5
a k  git add -A && git commit -m 'x y'
a k  git config --get user.name
a k  mkdir -p {src,tests}
a k  sh script.sh
a k  source env.sh
a k  nohup ./server &
d d  sudo id
d d  s''udo id
d d  \sudo id
d d  "sudo" id
d d  $'\x73udo' id
d d  's'u"do" id
d d  /usr/bin/sudo id
d d  /usr/bin/../bin/sudo id
d d  ls\nsudo id
d d  ls; sudo id
d d  ls & sudo id
d d  true && sudo id
d d  A="b c" sudo id
d d  echo $(sudo id)
d d  echo "`sudo id`"
d d  echo ${x:-$(sudo id)}
d d  cat <(sudo id)
d d  (sudo id)
d d  { sudo id; }
d d  if true; then sudo id; fi
d d  while sudo id; do :; done
d d  case x in x) sudo id;; esac
d d  f() { sudo id; }; f
d d  sudo id; sudo() { :; }
d d  env sudo id
d d  env -u X A=b sudo id
d d  command sudo id
d d  exec sudo id
d d  nohup nice -n 3 timeout 5 sudo id
d d  xargs -I{} sudo {}
d d  busybox sudo id
d d  find . -exec sudo id \;
d d  find . -execdir env sudo {} +
d d  bash -c 'sudo id'
d d  bash -euxc "sudo id"
d d  sh -c 'bash -c "sudo id"'
d d  eval "sudo id"
d d  trap 'sudo id' EXIT
d d  bash <<EOF\nsudo id\nEOF
d d  bash <<'EOF'\nsudo id\nEOF
d d  bash <<< "sudo id"
d d  cat <<EOF\n$(sudo id)\nEOF
d d  x=`sudo id`
d d  # harmless \\\nsudo id
d k  mkfs.ext4 /dev/sda
d k  shutdown now
k k  ${X:-sudo} id
k k  $X id
k k  /usr/bin/su?o id
k k  {sudo,id}
k k  coproc sudo id
k k  f() { "$@"; }; f sudo id
k k  "$(echo sudo)" id
d k  su\\\ndo id
k k  echo c3Vkbw== | base64 -d | sh
k k  cat x | bash
k k  bash
k k  bash -s < x
d d  [\nsudo id\n]
k k  [ -f x\nsudo id ]
k k  [ -f x && sudo id ]
k k  [ a > ../x ]
k k  [ a ; sudo id ]
a a  [ -n "$(ls; ls)" ] && [[ a > b || -f x ]]
k k  ls=$\nx
k k  ls\n\\\nsudo id
k k  ls\n\\\n> /tmp/x
a k  for f in *.py\ndo\n  wc -l $f |\n  cat\ndone
a a  ls \\\n  -la \\\n  > out.txt
a a  if ls\nthen\n  cat x\nelse\n  ls\nfi
a a  case x in\n  a) ls ;;\n  *) cat x\n  ;;\nesac
a a  f() {\n  ls\n}\n\nf # done
k k  *ls=
k k  !''ls
k k  [[[ ]]
k k  <<<[ ]
a a  a[0]=1 b+=2; ! ls
k k  cat <<E\n`sudo id`\nE
d d  cat <<E\n$(sudo id)
k k  ls<<x\n`$for x in `
a a  cat <<'E'\n`sudo id` $(x)\nE
a a  echo "a \`b\` \$(c)" '`d`'
k k  ls#\n=
k k  bash -c "$X"
k k  bash --rcfile x -c ls
k k  zsh -c 'sudo id'
k k  eval "$x"
k k  find . -exec sh -c 'echo {}' \;
k k  ls | xargs -I{} sh -c 'echo {}'
k k  watch ls ';' sudo id
k k  env -S 'sudo id'
k k  env LD_PRELOAD=./x.so ls
k k  PATH=.:$PATH ls
k k  export PATH=.; ls
k k  eval 'PATH=.'; ls
a k  FOO=1 PYTHONPATH=src python3 x.py; ls
k k  read PATH <<< .; ls
k k  for PATH in .; do ls; done
k k  export BASH_ENV=x; bash -c ls
k k  x='a[$(sudo id)]'; echo $((x))
k k  [[ -v 'a[$(id)]' ]]
k k  echo ${x@P}
k k  find . -delete
k k  find . -fprintf x y
k k  find . "$x"
k k  rg --pre id foo
k k  rg --hostname-bin=./x foo
k k  rg -z foo
k k  make --eval='$(shell touch x)'
k k  make SHELL=./x all
k k  sort -o x y
k k  sort --outp=x y
k k  sort --compress-prog=./x y
k k  uniq a b
k k  sed -i s/a/b/ x
k k  sed 's/a/b/w x' y
k k  sed s/a/b/e x
k k  date -s tomorrow
a k  awk 'BEGIN{system("id")}'
k k  git -c alias.x='!id' status
k k  git --git-dir=/x status
k k  git -C /p status
k k  git diff --output=/x
k k  git diff --no-index /etc/passwd x
k k  git grep -Oid x
k k  git config core.pager evil
k k  git reflog expire --all
k k  git branch -D x
k k  git stash
k k  git reset --hard
k k  git push
k k  git -C sub push --force
k k  python -m pip install x
k k  npm install
k k  npx cowsay
k k  curl http://example.com
a k  curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8123/x?a=http
a k  curl localhost:$PORT/health | grep ok
a k  wget -qO- http://[::1]:3000/
a k  nc -z 127.0.0.1 5432
k k  curl http://localhost@example.com/
k k  curl http://127.0.0.1.example.com
k k  curl -d @x http://127.0.0.1:8123 https://example.com
k k  ssh host
k k  rm -rf build
k k  find . -name '*.py' | xargs rm
k k  dd if=/dev/zero of=x
k k  tar --checkpoint-action=exec=sh -cf x y
k k  /tmp/evil
k k  cat /etc/passwd
k k  cat ../x
k k  cat ~/.ssh/id_rsa
k k  cat "$HOME/x"
k k  cat .env
k k  ls /
k k  rg --files /etc
k k  grep -f /etc/shadow x
k k  cd /etc && cat passwd
k k  cd sub && cat ../../x
k k  cd; cat notes
k k  cat < /etc/passwd
k k  echo hi > /tmp/x
k k  echo hi > ../x
k k  echo hi >> ~/.bashrc
k k  echo hi > .git/config
k k  echo hi > .git/hooks/pre-commit
k k  echo hi > .envrc
k k  echo hi > $F
k k  echo hi >& /tmp/x
k k  ls 2> /tmp/x
k k  exec 3<>/dev/tcp/1.2.3.4/80
"""
LETTERS = {"a": "allow", "k": "ask", "d": "deny"}
ROWS = [
    (row[5:].replace("\\n", "\n").replace("\\\\", "\\"), row[0], row[2]) for row in TABLE.strip().splitlines()
]


def test_the_table_is_as_long_as_promised() -> None:
    assert len(ROWS) >= 120


@pytest.mark.parametrize(("command", "built", "own"), ROWS)
def test_each_command_of_the_table_gets_its_decision(command: str, built: str, own: str) -> None:
    assert BUILT.text(command).effect == LETTERS[built]
    assert OWN.text(command).effect == LETTERS[own]


def test_without_a_sandbox_whatever_runs_code_asks() -> None:
    for command in ("pytest", "python3 x.py", "make", "npm test", "git status", "./run.sh", "awk 1 x"):
        assert BUILT.text(command).effect == "allow" and BARE.text(command).effect == "ask", command
    assert BARE.text("ls -la && grep -n x src/a.py").effect == "allow"


def test_control_characters_ask_and_a_nul_is_denied() -> None:
    assert BUILT.text("ls \u202e").effect == "ask" and BUILT.text("ls\r").effect == "ask"
    assert BUILT.text("ls \x1b[2K").effect == "ask" and BUILT.text("ls \0").effect == "deny"


def test_characters_beyond_ascii_are_ordinary_and_do_no_harm() -> None:
    """The grammar's own scanner reads outside its tables for a brace before such a character."""
    for text in (
        "{\U00105d22\bh",
        "n{\U0010d136\n",
        ":{\U00056963",
        "{\u0142,b}",
        "caf\u00e9{1..\U0001f600}",
    ):
        assert BUILT.text(text).effect == "ask"
    assert BUILT.text("cat caf\u00e9.txt '\U0001f600'").effect == "allow"
    assert BUILT.text("su\u00e9do id; sudo id").effect == "deny"


def test_too_much_to_judge_is_denied_not_asked() -> None:
    assert BUILT.text("ls;" * 99).effect == "allow"
    assert BUILT.text("ls;" * 101).effect == "deny"
    assert BUILT.text("bash -c '" + "ls;" * 60 + "'; bash -c '" + "ls;" * 60 + "'").effect == "deny"
    assert BUILT.text("echo " + "x" * (65 << 10)).effect == "deny"
    assert BUILT.text(";))" * 20_000).effect == "deny"  # once half a minute of parsing


def test_a_variable_that_decides_which_code_runs_asks_also_as_an_argument() -> None:
    assert BUILT.text("ls", env={"EXTRA": "1"}).effect == "allow"
    assert BUILT.text("ls", env={"PATH": "."}).effect == "ask"
    assert BUILT.text("echo hi", env={"BASH_ENV": "./evil"}).effect == "ask"


def test_argv_is_judged_by_the_same_rules() -> None:
    assert BUILT.argv(["ls", "$(sudo id)"]).effect == "allow"
    assert BUILT.argv(["rg", "--pre", "id", "x"]).effect == "ask"
    assert BUILT.argv(["env", "sudo", "id"]).effect == "deny"
    assert BUILT.argv(["bash", "-c", "sudo id"]).effect == "deny"
    assert BUILT.argv(["cat", "/etc/passwd"]).effect == "ask"


def test_a_program_planted_in_the_workspace_is_not_taken_for_the_one_it_is_named_like(tmp_path: Path) -> None:
    planted = tmp_path / "bin" / "ls"
    planted.parent.mkdir()
    planted.write_text("#!/bin/sh\n", encoding="utf-8")
    planted.chmod(0o755)
    judge = replace(OWN, root=tmp_path, path=f"{planted.parent}:/usr/bin:/bin")
    assert judge.text("ls").effect == "ask" and judge.text("cat x").effect == "allow"


def test_a_link_that_leads_out_is_seen(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    judge = replace(BUILT, root=tmp_path)
    assert judge.text("cat link").effect == "ask" and judge.text("echo x > link").effect == "ask"


@st.composite
def spelled(draw: st.DrawFn) -> str:
    """`sudo`, every letter bare, escaped or quoted in its own way."""
    ways = ("{}", "\\{}", "'{}'", '"{}"', "''{}", '{}""')
    return "".join(draw(st.sampled_from(ways)).format(letter) for letter in "sudo")


HIDES = (
    "{}", "ls; {}", "ls | {}", "( {} )", "{{ {}; }}", "if ls; then {}; fi", "echo $({})", "echo `{}`", "env A=1 {}",
    "nice {}", "timeout 3 {}", "command {}", "xargs {}", "find . -exec {} \\;", "f() {{ {}; }}; f", "ls && {} &",
    "while {}; do :; done", "cat <({})", "echo <<X\n$({})\nX", "! {}", "time {}", "exec {}", "for i in 1; do {}; done",
)  # fmt: skip


@given(st.lists(st.sampled_from(HIDES), min_size=1, max_size=4), spelled())
def test_no_spelling_and_no_nesting_hides_a_denied_program(layers: list[str], name: str) -> None:
    command = f"{name} id"
    for layer in layers:
        command = layer.format(command)
    assert BUILT.text(command).effect != "allow"
    assert OWN.text(command).effect != "allow"


@given(st.text(max_size=60))
def test_no_text_breaks_the_judge(text: str) -> None:
    assert BUILT.text(text).effect in ("allow", "ask", "deny")


TOKENS = (
    "ls", "cat", "echo", "sudo", "x", " ", " ", ";", "&&", "|", "&", "(", ")", "{", "}", "$", "`", "'", '"', "\\", "\n", "#",
    "<", ">", "!", "=", "${", "$(", "$((", "))", "<<x\n", "<<'x'\n", "\nx\n", "<<<", "-", "[", "]", "[[ ", " ]]", "[ ", " ]", "((",
    "if ", "then ", "fi", "for x in ", "do ", "done", "case ", "esac", "x) ", ";;", "\\\n", "$'", "*", "~", "f() ", "\t", "%",
)  # fmt: skip


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
@given(st.lists(st.sampled_from(TOKENS), min_size=1, max_size=14).map("".join))
def test_bash_runs_no_program_in_an_allowed_text_that_the_policy_does_not_know(text: str) -> None:
    """bash itself is the witness: with an empty PATH it names every program it would have started."""
    assume(OWN.text(text).effect == "allow")
    ran = subprocess.run(
        ["/bin/bash", "-c", text], env={"PATH": "/nonexistent", "LC_ALL": "C"}, stdin=subprocess.DEVNULL,
        capture_output=True, cwd="/proc", timeout=60, check=False,
    )  # fmt: skip
    lines = [
        line
        for line in ran.stderr.decode("utf-8", "replace").splitlines()
        if line.endswith("command not found")
    ]
    assert {line.split(": ")[-2] for line in lines} <= {"ls", "cat"}


def explain(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    script = "from servers.shell.server import main; main()"
    return subprocess.run(
        [sys.executable, "-P", "-c", script, str(root), *options], capture_output=True, text=True, check=False
    )


def test_explain_prints_the_decision_first_then_the_parts_and_their_rules(tmp_path: Path) -> None:
    root, file = tmp_path / "root", tmp_path / "policy.toml"
    root.mkdir()
    file.write_text(
        'default = "ask"\nallow = ["ls", "git status"]\ndeny = ["sudo"]\nask_fallback = "deny"\n'
        '[sandbox]\nmode = "preferred"\nnetwork = false\n[env]\npass = ["JAVA_HOME"]\n',
        encoding="utf-8",
    )
    said = explain(root, "--policy", str(file), "--explain", "git status; env sudo id")
    lines = said.stdout.splitlines()
    assert said.returncode == 0 and lines[0].startswith("deny ")
    assert any("allow  git status" in line and "allow 'git status'" in line for line in lines)
    assert (
        any("deny   sudo id" in line for line in lines) and str(file) in lines[-1] and "sandbox=" in lines[-1]
    )
    inside = root / "policy.toml"
    inside.write_text("", encoding="utf-8")
    refused = explain(root, "--policy", str(inside), "--explain", "ls")
    assert refused.returncode == 1 and "lies in the workspace" in refused.stderr
    assert "Traceback" not in explain(tmp_path / "nowhere", "--explain", "ls").stderr


def test_a_policy_file_replaces_the_built_in_rules_whole(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text('allow = ["git  status"]\n', encoding="utf-8")
    judge = replace(BUILT, policy=load(file))
    assert judge.text("git status").effect == "allow"
    assert judge.text("ls").effect == judge.text("pytest").effect == judge.text("sudo id").effect == "ask"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alow = []", "no key 'alow'"),
        ("allow = 'ls'", "allow is a list of names, found 'ls'"),
        ("default = 'maybe'", "default is one of allow, ask, deny, found 'maybe'"),
        ("[sandbox]\nmode = 'on'", "sandbox.mode is one of required, preferred, off"),
        ("[sandbox]\nnetwork = 1", "sandbox.network is true or false, found 1"),
        ("[limits]\nmemory_mb = 0", "limits.memory_mb is a whole number above 0"),
        ("sandbox = 'off'", "[sandbox] is a table"),
        ("x = ", "policy.toml"),
    ],
)
def test_a_bad_policy_file_is_told_in_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="policy file") as caught:
        load(file)
    assert said in str(caught.value) and "\n" not in str(caught.value)
