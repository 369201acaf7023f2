"""Nothing survives, nothing leaks, the server answers afterwards: as root and as an ordinary user, on both rungs."""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

import servers
from servers.shell.sandbox.visible_paths import git_folders
from servers.state.audit import first_break
from tests.processes import alive, own_sleep, until
from tests.stdio import Result, Stdio

REPOSITORY = Path(servers.__file__).parents[1]
SYSTEM_PYTHON = "/usr/bin/python3"
PYTHON = "/usr/bin/python3"
POLICY = """
allow = ["echo", "sleep", "trap", "true", "cat", "ls"]
contained = ["python3", "bash", "./", "yes", "kill", "mkdir", "dd"]
[limits]
memory_mb = 300
processes = 90
file_mb = 8
"""
SECRET = "the-secret-nobody-may-see"


@dataclass(frozen=True)
class Place:
    server: Stdio
    root: Path
    outside: Path  # beside the workspace, where secrets lie
    home: Path
    level: str
    as_root: bool

    def run(self, command: str, **arguments: object) -> Result:
        """Run, and hold the server to answering afterwards."""
        result = self.server.call("run_command", command=command, **arguments)
        after = self.server.call("run_command", command="true")
        assert "exit=0" in after.text, f"{after.text}\n{self.server.said()}"
        return result

    def python(self, code: str, **arguments: object) -> Result:
        (self.root / "script.py").write_text(code, encoding="utf-8")
        return self.run("python3 script.py", **arguments)


def programs_without_bwrap(folder: Path) -> str:
    """A PATH on which bubblewrap is not to be found."""
    folder.mkdir()
    for source in ("/usr/bin", "/bin"):
        for name in os.listdir(source):
            if name != "bwrap" and not os.path.lexists(folder / name):
                (folder / name).symlink_to(f"{source}/{name}")
    return str(folder)


def readable_by_others() -> bool:
    """Whether another user can run what these tests run, wherever the clone and its environment lie."""
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    ask = f"import sys; sys.path[:0] = {_paths()!r}; import servers.protocol.lifecycle; print(*sys.version_info[:2], sep='.')"
    done = subprocess.run(
        [SYSTEM_PYTHON, "-c", ask],
        user=1000,
        group=1000,
        extra_groups=[],
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
    )
    return done.stdout.strip() == ours


def _paths() -> list[str]:
    return [str(REPOSITORY), next(path for path in sys.path if path.endswith("site-packages"))]


def spawn(user: int, arguments: list[str], env: dict[str, str]) -> Stdio:
    """The server under another user, who cannot read what belongs to root."""
    code = f"import sys; sys.path[:0] = {_paths()!r}; from servers.shell.server import main; main()"
    python = SYSTEM_PYTHON if user else sys.executable
    their_in, our_in = os.pipe()
    our_out, their_out = os.pipe()
    stderr = os.memfd_create("stderr")
    process = subprocess.Popen(
        [python, "-c", code, *arguments], stdin=their_in, stdout=their_out, stderr=stderr, env=env, cwd="/",
        **({"user": user, "group": user, "extra_groups": []} if user else {}),
    )  # fmt: skip
    process.returncode = 0  # reaped with the test process; Popen would complain
    os.close(their_in)
    os.close(their_out)
    return Stdio(process.pid, our_in, our_out, stderr)


@pytest.fixture(scope="module", params=["root-bwrap", "root-landlock", "user-bwrap", "user-landlock"])
def place(request: pytest.FixtureRequest) -> Generator[Place]:
    with tempfile.TemporaryDirectory() as folder:  # not pytest's: that stays closed to other users
        yield from opened(request, Path(os.path.realpath(folder)))


def opened(request: pytest.FixtureRequest, top: Path) -> Generator[Place]:
    who, level = request.param.split("-")
    if who == "root" and os.getuid():
        pytest.skip("not root")
    user = 1000 if who == "user" and not os.getuid() else 0
    if user and not readable_by_others():
        pytest.skip(f"an ordinary user needs {SYSTEM_PYTHON} of this version, and to read these sources")
    root, outside, home = (top / name for name in ("root", "outside", "home"))
    for folder in (root / ".git/hooks", outside, home / ".ssh"):
        folder.mkdir(parents=True)
    for file in (outside / "secret", home / ".ssh/id_rsa", home / ".netrc"):
        file.write_text(SECRET, encoding="utf-8")
    (root / ".git/config").write_text("[core]\n", encoding="utf-8")
    (top / "policy.toml").write_text(POLICY, encoding="utf-8")
    path = "/usr/bin:/bin" if level == "bwrap" else programs_without_bwrap(top / "bin")
    if user:
        subprocess.run(["chown", "-R", f"{user}:{user}", str(top)], check=True)
    env = {"PATH": path, "HOME": str(home), "UNDERSTUDY_HOME": str(home / "state"), "SERVER_TOKEN": SECRET}
    server = spawn(user, [str(root), "--policy", str(top / "policy.toml")], env)
    found = server.call("run_command", command="echo hi")
    if f"sandbox={level}" not in found.text:
        server.close()
        pytest.skip(f"no {level} here: {found.text[:200]}")
    yield Place(server, root, outside, home, level, who == "root")
    server.close()


def test_no_daemon_survives_its_command(place: Place) -> None:
    double, deaf, plain = own_sleep(), own_sleep(), own_sleep()
    result = place.python(
        "import os, subprocess\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        os.close(0); os.close(1); os.close(2)\n        os.execvp('sleep', ['sleep', '"
        f"{double}'])\n    os._exit(0)\n"
        f"subprocess.Popen(['setsid', 'bash', '-c', \"trap '' TERM HUP INT; sleep {deaf}\"])\n"
        f"subprocess.Popen(['sleep', '{plain}'])\nprint('done')\n"
    )
    assert "exit=0" in result.text and "done" in result.text
    assert not alive(double, deaf, plain)


def test_a_fork_bomb_is_held_and_gone(place: Place) -> None:
    mark = own_sleep()
    bomb = f"bomb-{mark}.sh"
    (place.root / bomb).write_text(f"b() {{ b | b & }}; b; sleep {mark}\n", encoding="utf-8")
    result = place.run(f"bash {bomb}", timeout_s=1)
    assert "timed out" in result.text or "too many processes" in result.text
    assert not alive(mark, bomb)


def test_memory_is_bounded_for_one_process_and_for_the_tree(place: Place) -> None:
    one = place.python(
        "x = []\nfor _ in range(600):\n    x.append(bytearray(b'x') * (1 << 20))\nprint('had', len(x))\n"
    )
    assert "had 600" not in one.text
    many = place.python(
        "import os, time\nfor _ in range(6):\n    if os.fork() == 0:\n        x = bytearray(b'x') * (120 << 20)\n"
        "        time.sleep(1)\n        os._exit(0)\nn = 0\nfor _ in range(6):\n    n += os.wait()[1] == 0\nprint('all had it', n)\n",
        timeout_s=15,
    )
    assert "all had it 6" not in many.text and "timed out" not in many.text


def test_a_file_cannot_grow_beyond_its_bound(place: Place) -> None:
    place.python("with open('big', 'wb') as f:\n    for _ in range(64):\n        f.write(b'x' * (1 << 20))\n")
    assert (place.root / "big").stat().st_size <= 8 << 20
    (place.root / "big").unlink()


def test_runaway_output_is_ended(place: Place) -> None:
    result = place.run("yes", timeout_s=60, wait_s=45)
    assert "it printed more than 64 MB" in result.text and len(result.text) < 40_000


def test_no_network_of_any_kind(place: Place) -> None:
    tcp, udp = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    abstract, named = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    name = f"understudy-test-{os.getpid()}-{place.level}-{place.as_root}"
    abstract.bind(f"\0{name}")
    named.bind(str(place.outside / "s"))
    os.chmod(place.outside / "s", 0o777)
    with tcp, udp, abstract, named:
        for heard in (tcp, abstract, named):
            heard.listen()
        result = place.python(
            "import socket\ndef attempt(name, work):\n    try:\n        work()\n        print(name, 'REACHED')\n"
            "    except OSError as e:\n        print(name, 'refused', e)\n"
            f"attempt('tcp', lambda: socket.create_connection(('127.0.0.1', {tcp.getsockname()[1]}), 2))\n"
            "def udp():\n    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            f"    s.sendto(b'x', ('127.0.0.1', {udp.getsockname()[1]}))\n"
            "try:\n    udp()\nexcept OSError:\n    pass\n"
            f"attempt('abstract', lambda: socket.socket(socket.AF_UNIX).connect('\\0{name}'))\n"
            f"attempt('named', lambda: socket.socket(socket.AF_UNIX).connect({str(place.outside / 's')!r}))\n"
            "attempt('outside', lambda: socket.create_connection(('1.1.1.1', 80), 2))\n"
            "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
            "ring = libc.syscall(425, 4, ctypes.create_string_buffer(256))\nprint('ring', ring)\n"
        )
        assert "refused" in result.text and "REACHED" not in result.text, result.text
        assert not select.select([tcp, udp, abstract, named], [], [], 0.2)[0]
    assert place.level == "bwrap" or "ring -1" in result.text


def test_nothing_outside_can_be_read(place: Place) -> None:
    (place.root / "link").symlink_to(place.outside / "secret")
    result = place.python(
        "import os, glob\nseen = []\n"
        f"paths = ['link', {str(place.outside / 'secret')!r}, {str(place.home / '.ssh/id_rsa')!r}, {str(place.home / '.netrc')!r},"
        " '/etc/shadow', '../outside/secret', *glob.glob('/proc/[0-9]*/environ'), *glob.glob('/proc/[0-9]*/root')]\n"
        "for p in paths:\n    try:\n        seen.append(open(p, 'rb').read())\n    except OSError as e:\n        print(p, e)\n"
        "    try:\n        seen.append(open(p + '/' + os.path.abspath('../outside/secret'), 'rb').read())\n    except OSError:\n        pass\n"
        f"print('LEAKED', sum({SECRET.encode()!r} in s or b'root:' in s for s in seen))\nprint(os.environ.get('SERVER_TOKEN'))\n"
    )
    assert "LEAKED 0" in result.text and SECRET not in result.text
    (place.root / "link").unlink()


def test_nothing_outside_and_nothing_protected_can_be_written(place: Place) -> None:
    pattern = Path("/proc/sys/kernel/core_pattern")
    before = pattern.read_text(encoding="utf-8")
    targets = [
        str(place.outside / "new"),
        str(place.home / "new"),
        "/usr/new",
        "/etc/new",
        str(place.root.parent / "new"),
    ]
    if place.level == "bwrap":
        targets += [".git/config", ".git/hooks/pre-commit"]
    place.python(
        f"import os\nfor p in {targets!r} + ['/proc/sys/kernel/core_pattern', '/proc/sysrq-trigger']:\n"
        "    try:\n        open(p, 'w').write('|/tmp/evil')\n        print('WROTE', p)\n    except OSError as e:\n        print(e)\n"
        "for mode in (0o060666, 0o020666):\n    try:\n        os.mknod('node', mode, os.makedev(1, 1))\n        print('MADE')\n"
        "    except OSError as e:\n        print(e)\n"
    )
    assert pattern.read_text(encoding="utf-8") == before
    assert not any(Path(target).exists() for target in targets[:5]) and not (place.root / "node").exists()
    assert (place.root / ".git/config").read_text(encoding="utf-8") == "[core]\n"


def test_protected_places_that_appear_are_moved_away(place: Place) -> None:
    result = place.python(
        "import os\nos.mkdir('.vscode')\nopen('.vscode/tasks.json', 'w').write('{}')\nopen('.envrc', 'w').write('evil')\n"
    )
    assert ".vscode is a protected place" in result.text and ".envrc is a protected place" in result.text
    assert not (place.root / ".vscode").exists() and not (place.root / ".envrc").exists()


def test_places_below_the_top_are_protected_like_those_at_the_top(place: Place) -> None:
    """A folder of a workspace is opened as a project of its own, and a repository in it is worked on outside."""
    sub = place.root / "packages/a"
    for folder in (sub / ".git/hooks", sub / ".vscode", place.root / "b"):
        folder.mkdir(parents=True, exist_ok=True)
    (sub / ".git/HEAD").write_text("ref: refs/heads/main\n", encoding="utf-8")
    (sub / ".git/config").write_text("[core]\n", encoding="utf-8")
    (sub / ".vscode/settings.json").write_text("{}", encoding="utf-8")
    if place.as_root is False and not os.getuid():
        subprocess.run(["chown", "-R", "1000:1000", str(sub), str(place.root / "b")], check=True)
    mine = sub / ".vscode/settings.json"
    started = place.server.call("run_command", command="sleep 0.3", wait_s=0).text
    mine.write_text('{"by": "the user"}', encoding="utf-8")
    place.server.call("job", id=started.partition("job=")[2].split(" ")[0], action="wait")
    if place.level == "bwrap":  # a mount holds the command, so what the user did meanwhile stays
        assert mine.read_text(encoding="utf-8") == '{"by": "the user"}'
    mine.write_text("{}", encoding="utf-8")
    result = place.python(
        "import os, shutil\n"
        "def write(f):\n    try:\n        os.makedirs(os.path.dirname(f), exist_ok=True)\n        open(f, 'w').write('evil')\n"
        "    except OSError as e:\n        print(e)\n"
        "for f in ('b/.claude/settings.json', 'b/.mcp.json', 'b/deep/er/.cursor/mcp.json', 'packages/a/.git/hooks/pre-commit',\n"
        "          'packages/a/.git/config', 'packages/a/.vscode/settings.json'):\n    write(f)\n"
        "for name, config, hook in (('bad', '[core]\\n\\tfsmonitor = evil\\n', ''), ('worse', '', 'post-checkout'), ('good', '[core]\\n', 'a.sample')):\n"
        "    os.makedirs(f'made/{name}/.git/hooks')\n    open(f'made/{name}/.git/config', 'w').write(config)\n"
        "    open(f'made/{name}/.git/hooks/{hook}', 'w').write('evil') if hook else None\n"
        "os.rename('packages', 'old'); shutil.copytree('old', 'packages'); os.utime('packages/a', (0, 0))\n"
        "for f in ('packages/a/.git/hooks/pre-commit', 'packages/a/.git/config', 'packages/a/.vscode/settings.json'):\n    write(f)\n"
    )
    assert "b/.claude is a protected place" in result.text
    assert not list((place.root / "b").rglob(".*"))
    assert (sub / ".git/config").read_text(encoding="utf-8") == "[core]\n" and not os.listdir(
        sub / ".git/hooks"
    )
    assert (sub / ".vscode/settings.json").read_text(encoding="utf-8") == "{}"
    made = sorted(path.parent.name for path in (place.root / "made").glob("*/.git"))
    assert made == ["good"]
    assert not (place.root / "old/a/.vscode").exists()
    for name in ("old", "packages", "b", "made"):
        shutil.rmtree(place.root / name)


WAYS = {
    "renamed": "open('x', 'w').write('evil')\nos.rename('x', '.mcp.json')",
    "hard link": "open('x', 'w').write('evil')\nos.link('x', '.mcp.json')",
    "link": "os.mkdir('x')\nopen('x/settings.json', 'w').write('evil')\nos.symlink('x', '.claude')",
    "folder without rights": "os.mkdir('.claude')\nopen('.claude/settings.json', 'w').write('evil')\nos.chmod('.claude', 0)",
    "folders that are read alone": "os.makedirs('sub/.claude')\nopen('sub/.claude/settings.json', 'w').write('evil')\n"
    "os.chmod('sub/.claude', 0o555)\nos.chmod('sub', 0o555)",
    "pipe beside it": "os.mkdir('.vscode')\nopen('.vscode/tasks.json', 'w').write('evil')\nos.mkfifo('.vscode/pipe')",
    "submodules": "open('.gitmodules', 'w').write('[submodule x]\\n\\turl = -u./evil\\n')",
    "archive": "import io, tarfile\nwith tarfile.open('a.tar', 'w') as t:\n"
    "    for n in ('.cursor/mcp.json', '.git/hooks/pre-commit'):\n"
    "        i = tarfile.TarInfo(n)\n        i.size = 4\n        t.addfile(i, io.BytesIO(b'evil'))\n"
    "os.system('tar -xf a.tar')",
    "git itself": "os.system('git config core.hooksPath x; git config core.fsmonitor x; git config alias.st !x')",
}


@pytest.mark.parametrize("how", WAYS)
def test_no_way_of_making_a_protected_place_leaves_it_there(place: Place, how: str) -> None:
    before = set(os.listdir(place.root))
    place.python(f"import os\n{WAYS[how]}\n")
    made = set(os.listdir(place.root)) - before
    for name in made:
        subprocess.run(["chmod", "-R", "u+rwX", str(place.root / name)], check=True)
    names = {".mcp.json", ".claude", ".vscode", ".cursor", ".gitmodules"}
    left = [str(path) for path in place.root.rglob("*") if names.intersection(path.parts)]
    for name in made:
        path = place.root / name
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    assert not left and not os.listdir(place.root / ".git/hooks")
    assert (place.root / ".git/config").read_text(encoding="utf-8") == "[core]\n"


def test_what_a_job_makes_in_a_protected_place_is_gone_while_it_runs(place: Place) -> None:
    code = "import time\nopen('.mcp.json', 'w').write('evil')\nprint('made', flush=True)\ntime.sleep(600)\n"
    (place.root / "long.py").write_text(code, encoding="utf-8")
    job = place.server.call("run_command", command="python3 long.py", wait_s=0.5).text.partition("job=")[2]
    job = job.split()[0]
    until(lambda: "was moved to" in place.server.call("job", id=job).text)
    assert not (place.root / ".mcp.json").exists()
    place.server.call("job", id=job, action="kill")
    (place.root / "long.py").unlink()


def test_what_a_link_or_a_setting_of_git_leads_to_is_protected_like_what_leads_there(place: Place) -> None:
    """husky and its like keep git's hooks in the work tree; the folder of an editor may be a link to one of any name."""
    for name in (".husky/pre-commit", ".husky/_/pre-commit", "conf/tasks.json"):
        (place.root / name).parent.mkdir(parents=True, exist_ok=True)
        (place.root / name).write_text("fine", encoding="utf-8")
    (place.root / ".vscode").symlink_to("conf")
    (place.root / ".git/config").write_text("[core]\n\thooksPath = .husky/_\n", encoding="utf-8")
    if place.as_root is False and not os.getuid():
        subprocess.run(["chown", "-hR", "1000:1000", *map(str, place.root.iterdir())], check=True)
    place.python(
        "for f in ('.husky/pre-commit', '.husky/commit-msg', '.husky/_/pre-commit', 'conf/tasks.json'):\n"
        "    try:\n        open(f, 'w').write('evil')\n    except OSError as e:\n        print(e)\n"
    )
    assert {path.read_text(encoding="utf-8") for path in place.root.rglob("*/pre-commit")} == {"fine"}
    assert (place.root / "conf/tasks.json").read_text(encoding="utf-8") == "fine"
    assert not (place.root / ".husky/commit-msg").exists()
    (place.root / ".git/config").write_text("[core]\n", encoding="utf-8")
    (place.root / ".vscode").unlink()
    for name in (".husky", "conf"):
        shutil.rmtree(place.root / name)


def test_what_git_runs_by_itself_is_as_before_however_it_was_changed(place: Place) -> None:
    """Made anew under a renamed folder, told to live elsewhere, hooks added: git would run it outside, later."""
    hook = place.root / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\n", encoding="utf-8")
    hook.chmod(0o755)
    inner = place.root / ".git/modules/lib"
    inner.mkdir(parents=True)
    for name in ("HEAD", "config"):
        (inner / name).write_text("[core]\n", encoding="utf-8")
    code = (
        "import os, shutil\n"
        "def attempt(work):\n    try:\n        work()\n    except OSError as e:\n        print(e)\n"
        "attempt(lambda: (os.rename('.git', 'old'), shutil.copytree('old', '.git')))\n"
        "attempt(lambda: os.rename('.git/modules/lib', '.git/modules/new'))\n"
        "for f in ('.git/config', '.git/commondir', '.git/hooks/pre-commit', '.git/hooks/post-commit', '.git/modules/lib/config'):\n"
        "    attempt(lambda: open(f, 'a').write('evil'))\n"
        "attempt(lambda: os.unlink('.git/hooks/pre-commit'))\n"
    )
    place.python(code)
    assert (place.root / ".git/config").read_text(encoding="utf-8") == "[core]\n"
    assert hook.read_text(encoding="utf-8") == "#!/bin/sh\n" and os.access(hook, os.X_OK)
    assert os.listdir(place.root / ".git/hooks") == ["pre-commit"]
    assert not (place.root / ".git/commondir").exists()
    if place.level == "bwrap":
        assert (inner / "config").read_text(encoding="utf-8") == "[core]\n" and not (
            place.root / "old"
        ).exists()
    hook.unlink()


def test_limits_and_priority_of_the_server_stay_its_own(place: Place) -> None:
    result = place.python(
        "import os, resource\n"
        "def attempt(name, work):\n    try:\n        work()\n        print(name, 'DONE')\n    except OSError as e:\n        print(name, e)\n"
        f"pid = {place.server.pid}\n"
        "attempt('limit', lambda: resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0)))\n"
        "attempt('priority', lambda: os.setpriority(os.PRIO_PROCESS, pid, 19))\n"
        "attempt('everybody', lambda: os.setpriority(os.PRIO_USER, 0, 19))\n"  # in a namespace: everybody in it
        "attempt('scheduler', lambda: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)))\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))\nos.nice(1)\nprint('own')\n"
    )
    assert "own" in result.text and place.level in ("bwrap", "landlock")
    for name in ("limit", "priority", "scheduler", *(["everybody"] if place.level == "landlock" else [])):
        assert f"{name} DONE" not in result.text


def test_the_sessions_keyring_is_not_the_commands(place: Place) -> None:
    """Kerberos tickets and file system keys can lie there."""
    ask = "import ctypes; print('ring', ctypes.CDLL(None).syscall(250, 0, -3, 0))"
    own = subprocess.run([SYSTEM_PYTHON, "-c", ask], capture_output=True, text=True, check=True).stdout
    assert own.strip() not in place.python(ask).text.splitlines() or "ring -1" in own


def test_the_server_and_its_helpers_cannot_be_killed(place: Place) -> None:
    others = [str(p.pid) for p in psutil.Process(place.server.pid).children(recursive=True)]
    result = place.python(
        "import os\n"
        f"for pid in [{place.server.pid}, os.getppid(), {', '.join(others)}]:\n"
        "    try:\n        os.kill(pid, 9) if pid > 1 else None\n    except OSError as e:\n        print(e)\nprint('still here')\n"
    )
    assert "supervisor was killed" not in result.text
    assert psutil.pid_exists(place.server.pid)
    if place.level == "bwrap":  # everything it can see is its own
        mark = own_sleep()
        assert "exit=137" in place.run(f"kill -9 -1; sleep {mark}", timeout_s=1).text or not alive(mark)


def test_the_audit_is_a_whole_chain(place: Place) -> None:
    place.run("true")
    file = place.home / "state/audit/shell.jsonl"
    assert first_break(file) is None and '"effect": "allow"' in file.read_text(encoding="utf-8")
    lines = file.read_bytes().splitlines(keepends=True)
    copy = place.root.parent / "copy.jsonl"
    copy.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert first_break(copy) == 3
    copy.write_bytes(b"".join(lines[:2]) + lines[2].replace(b"allow", b"deny!"))
    assert first_break(copy) in (None, 3) if b"allow" not in lines[2] else first_break(copy) == 3


def test_a_killed_server_leaves_nobody(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "UNDERSTUDY_HOME": str(tmp_path / "state")}
    for mode in ("preferred", "off"):
        (tmp_path / "policy.toml").write_text('default = "allow"\n', encoding="utf-8")
        server = spawn(0, [str(root), "--sandbox", mode, "--policy", str(tmp_path / "policy.toml")], env)
        away, here = own_sleep(), own_sleep()
        deaf = f'trap "" TERM; sleep {away}; true'
        server.call("run_command", command=f"(setsid bash -c '{deaf}' &); sleep {here}", wait_s=0)
        until(lambda: alive(away) and alive(here), f"the start without a sandbox ({mode})")  # noqa: B023
        os.kill(server.pid, 9)
        until(lambda: not alive(away, here), f"the end ({mode})")  # noqa: B023
        server.close()


def test_what_a_rung_does_not_hold_is_said_once_at_the_start(place: Place) -> None:
    told = place.server.hello["instructions"]
    assert ("times of the user's files outside" in told) == (place.level == "landlock")


def test_required_without_a_sandbox_refuses_to_start_and_off_says_so(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "UNDERSTUDY_HOME": str(tmp_path / "state")}
    with spawn(0, [str(root), "--sandbox", "off"], env) as server:
        assert "sandbox=none net=on" in server.call("run_command", command="echo hi").text
        refused = server.call("run_command", command="python3 -c 1")
    assert refused.is_error and "only inside a sandbox" in refused.text


def waiting(place: Place) -> bool:
    """Whether a sandbox stands ready for the next command, or none is set up ahead on this rung."""
    if place.level != "bwrap":
        return True
    ours = {process.pid for process in psutil.Process(place.server.pid).children(recursive=True)}
    rows = [p.info["cmdline"] or [""] for p in psutil.process_iter(["cmdline"]) if p.pid in ours]
    return any("mapfile" in row[-1] for row in rows)


def test_a_place_that_was_replaced_after_the_sandbox_was_set_up_is_held_all_the_same(place: Place) -> None:
    git = place.root / ".git"
    (git / "hooks").mkdir(parents=True, exist_ok=True)
    for text in ("[core]\n", "[user]\n"):
        place.run("true")
        until(lambda: waiting(place))
        new = git / "config.lock"  # as git itself changes it
        new.write_text(text, encoding="utf-8")
        os.chown(new, *([place.root.stat().st_uid] * 2))
        new.rename(git / "config")
        place.run("echo '[alias] x = !id' >>.git/config; mkdir -p .vscode; echo 1 >.vscode/tasks.json")
        assert (git / "config").read_text(encoding="utf-8") == text
        assert not (place.root / ".vscode").exists()
    shutil.rmtree(git)


def test_a_command_is_the_same_in_a_sandbox_that_was_set_up_ahead(place: Place) -> None:
    (place.root / "sub folder").mkdir()
    # How many processes there may be counts those the same user runs elsewhere, which come and go.
    few = "expr $(ulimit -u) + 0 >/dev/null && echo few processes"
    script = f"pwd; env | sort; ulimit -t; {few}; ls -A /tmp; echo left >/tmp/left; exit 7"
    (place.root / "sub folder" / "asked").write_text(script, encoding="utf-8")
    said = list[str]()
    for stdin in ("", "", "not ahead"):
        place.run("true")
        until(lambda: waiting(place))
        answer = place.run("bash asked", cwd="sub folder", env={"ODD": "a=b\n'c' é"}, stdin=stdin).text
        assert "exit=7" in answer and "ODD=a=b" in answer and "é" in answer, answer
        assert "few processes" in answer
        said.append(answer.split("\n", 2)[2].rpartition("<<end")[0])
    assert said[0] == said[1] == said[2]


def test_git_folders_that_come_and_go_are_no_error(tmp_path: Path) -> None:
    modules, over = tmp_path / ".git" / "modules", threading.Event()
    modules.parent.mkdir()

    def come_and_go() -> None:
        while not over.is_set():
            (modules / "one" / "two").mkdir(parents=True, exist_ok=True)
            shutil.rmtree(modules, ignore_errors=True)

    changing = threading.Thread(target=come_and_go)
    changing.start()
    try:
        for _ in range(2_000):
            assert git_folders(tmp_path) == [modules.parent]  # what has no HEAD is none
    finally:
        over.set()
        changing.join()
