"""What hides a program, a place or a write from a reader of commands; and everyday work, which must not ask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from servers.shell.policy.judge import Judge
from servers.shell.policy.rules import BUILT_IN

ROOT = Path("/srv/project")
HELD = Judge(policy=BUILT_IN, root=ROOT, level="bwrap", path="/usr/bin:/bin")
BARE = replace(HELD, level="none")


def rows(text: str) -> list[str]:
    return [row.replace("\\n", "\n").replace("\\\\", "\\") for row in text.strip().splitlines()]


HIDDEN = r"""
x='a -delete'; find . $x
x='. -delete'; find $x
x='y /etc/passwd'; cat $x
x='a ~/y'; cat $x
x=.; cat $x./y
x=.; cat $x$x/y
x=etc; cat /$x/passwd
x=.e; cat ${x}nv
x=env; cat .$x
x=a; x+=/../../y; cat $x
for x in .env; do cat $x; done
for f in /etc/*; do cat "$f"; done
read x <<< /etc/passwd; cat $x; x=a
cat /etc/{passwd,shadow}
cat {a,../b}
unset PATH; ls
printf -vPATH .; ls
read -raPATH <<< .; ls
((PATH=5)); ls
echo $((PATH=5)); ls
ls {PATH}>x; ls
declare -n r=PATH; r=.; ls
CDPATH=/ cd etc; cat passwd
x='$(id)'; test -v "a[$x]"
jobs -x sudo id
jobs -x rm x
alias ls='sudo id'; ls
hash -p /tmp/evil ls; ls
enable -f ./evil.so evil
coproc X { sudo id; }
select x in a b; do rm $x; done
mapfile -C 'rm x' -c 1 a < y
complete -C id x
exec 5<>/dev/tcp/1.1.1.1/80
shopt -s dotglob; cat *
bash -O dotglob -c 'cat *'
cat x | { bash; }
bash < <(echo rm x)
bash <(echo 'sudo id')
source <(echo sudo id)
. /dev/stdin <<< 'sudo id'
. /dev/stdin <<'E'\nsudo id\nE
bash /dev/fd/3 3<<< 'sudo id'
bash -c '"$@"' _ sudo id
echo x | xargs --replace=R rm R
xargs -a /etc/passwd echo
env -C /etc cat passwd
~/bin/ls
busybox rm x
nohup rm x &
setsid -w rm x
time -o /tmp/x ls
script -qc id /dev/null
uv run -- rm x
uv run --env-file x pytest
npm exec -- rm x
npm exec -c 'rm x'
npx -c id
bun x y
python3 -mpip install x
python3 -X dev -Im pip install x
nm --plug=./x.so y
objdump @x
grep -rf/etc/passwd x
column -t /etc/passwd
date 010100002020
date -f /etc/passwd
git -C sub -C .. -C .. log
git diff /etc/passwd x
git commit -F /etc/passwd
git add --pathspec-from-file=/etc/passwd
git config --get a.b --unset
git grep -nOid x
git submodule foreach 'rm x'
git rebase -x 'rm x' HEAD~1
git clone 'ext::sh -c id'
vim -es -c '!id' x
tar -xf x --to-command=id
tee .git/hooks/x
tee /tmp/x
touch ../x
touch .envrc
mkdir .git/hooks
echo x > .env
echo x > sub/.env.local
echo x > conftest.py
echo x > .github/workflows/a.yml
echo x >> Makefile
echo x > {a,../b}
f=../y; echo x > $f
"""

ORDINARY = r"""
python3 - <<'E'\nprint(1)\nE
cat > x.py <<'E'\nprint(1)\nE
cat - <<E\nx\nE
pytest -q 2>&1 | tee log.txt | tail -5
mkdir -p src/{a,b} && touch src/a/__init__.py
f=out.txt; echo x > $f
for d in src tests; do ls $d/unit; done
for f in *.py; do sed -n 1p "$f"; done
i=0; while [ $i -lt 3 ]; do i=$((i+1)); done
n=$(wc -l < f); echo $((n+1))
du -sh *
ls | xargs wc -l
find . -name '*.py' -not -path './node_modules/*' | head
git diff main..HEAD -- src
git log origin/main..HEAD
git log -L1,5:x
git commit -am 'x/y and ../z'
git config user.name
git show HEAD:x
grep -rln --include=*.py x src/
cut -d/ -f2 a
uv run --frozen pytest
uv run -m pytest
python3 -m pytest
shopt -s globstar; wc -l **/*.py
source .venv/bin/activate && pytest
set -euo pipefail; npm run build && npm test
ruff check --fix . && ruff format .
timeout 60 python3 x.py > log 2>&1
x=src; cat $x/a.py
cat a.{py,txt}
unset FOO; ls
"""


@pytest.mark.parametrize("command", rows(HIDDEN))
def test_what_hides_something_does_not_run_unasked_sandbox_or_not(command: str) -> None:
    assert HELD.text(command).effect != "allow"
    assert BARE.text(command).effect != "allow"


@pytest.mark.parametrize("command", rows(ORDINARY))
def test_everyday_work_runs_unasked_in_a_sandbox(command: str) -> None:
    decision = HELD.text(command)
    assert decision.effect == "allow", decision.worst


@pytest.mark.parametrize(
    "command",
    [
        "cat $x/etc/passwd; x=a",  # not set yet
        "for f in *; do sort $f; done",  # a file may be named like an option
        "ls | xargs cat",
        "read x; echo $((x))",  # the text of x could be a[$(id)]
        "x=$(cat f); echo $((x))",
        "for f in *; do echo $((f)); done",
    ],
)
def test_without_a_sandbox_what_cannot_be_told_asks(command: str) -> None:
    assert BARE.text(command).effect == "ask"


def test_variables_handed_in_are_not_taken_for_what_the_text_says_of_them() -> None:
    assert HELD.text("cat $x; x=a").effect == "allow"
    assert HELD.text("cat $x; x=a", env={"x": "/etc/passwd"}).effect == "ask"
    assert BARE.text("echo $((x))", env={"x": "a[$(id)]"}).effect == "ask"


def test_a_pattern_is_judged_by_what_it_matches_now(tmp_path: Path) -> None:
    for name in (".env", ".editorconfig", "a.txt", "server.pem"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    (tmp_path / "link.cfg").symlink_to("/etc/passwd")
    judge = replace(HELD, root=tmp_path)
    for command in ("cat .e*", "cat .??*", "cat *.pem", "head *", "cat *.cfg", "x='.e*'; cat $x"):
        assert judge.text(command).effect == "ask", command
    assert judge.text("cat *.txt .edit*").effect == "allow"
    assert judge.text("cd sub && cat .e*").effect == "ask"
