"""lint, format_code and run_tests on small real projects."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from servers.shell.jobs.shell import open_shell
from servers.shell.policy.rules import BUILT_IN
from servers.shell.quality import test_reports
from servers.shell.quality.test_runners import runner_for, wanted
from tests.stdio import start

UGLY = "import os\ndef f( a ):\n  return a+1\n"


def project(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def run(root: Path, **arguments: Any) -> dict[str, Any]:
    with start("shell", str(root)) as server:
        result = server.call("run_tests", **arguments)
    assert not result.is_error, result.text
    assert json.loads(result.text) == result.structured
    return result.structured


def test_lint_finds_what_does_not_parse_in_every_language(tmp_path: Path) -> None:
    project(
        tmp_path,
        {
            "a.py": "import os\n",
            "b.py": "def (:\n",
            "c.json": '{"a": 1,}',
            "d.yaml": "a: [1\nb: 2\n",
            "e.toml": "x = \n",
            "f.sh": "if true; then\n  echo 'x\nfi\n",
            "g.js": "function (\n",
            "good/g.py": "x = 1\n",
            "node_modules/h.py": "def (:\n",
        },
    )
    with start("shell", str(tmp_path)) as server:
        report = server.call("lint", paths=["."]).structured
    found = {f["file"]: f for f in report["findings"]}
    assert (
        set(found) == {"a.py", "b.py", "c.json", "d.yaml", "e.toml", "f.sh", "g.js"} and report["files"] == 8
    )
    assert found["a.py"]["code"] == "F401" and found["a.py"]["fixable"] and found["a.py"]["line"] == 1
    assert found["b.py"]["code"] is None and found["c.json"]["line"] == 1 and found["d.yaml"]["line"] == 2
    assert [f["file"] for f in report["findings"]] == sorted(f["file"] for f in report["findings"])


def test_lint_fixes_through_the_undo_store(tmp_path: Path) -> None:
    project(tmp_path, {"a.py": "import os\nimport sys\nprint(sys.path)\n", ".env": "A=1"})
    with start("shell", str(tmp_path)) as server:
        report = server.call("lint", paths=["a.py"], fix=True).structured
    assert (tmp_path / "a.py").read_text(encoding="utf-8") == "import sys\n\nprint(sys.path)\n"
    assert report["fixed"] == ["a.py"] and report["op"] and report["total"] == 0
    with start("files", str(tmp_path)) as files:
        assert not files.call("undo", op=report["op"]).is_error
    assert (tmp_path / "a.py").read_text(encoding="utf-8").startswith("import os\n")


def test_format_shows_a_diff_and_changes_only_when_told(tmp_path: Path) -> None:
    project(tmp_path, {"a.py": UGLY, "b.py": "x = 1\n", "c.py": "y = 2\n", "d.py": "def (:\n"})
    secret = "token = 'ghp_" + "a1B2" * 9 + "'\n"
    (tmp_path / "e.py").write_text(f"x  =  1\n{secret}", encoding="utf-8")
    with start("shell", str(tmp_path)) as server:
        shown = server.call("format_code", paths=["."]).text
        assert (tmp_path / "a.py").read_text(encoding="utf-8") == UGLY
        done = server.call("format_code", paths=["."], check=False).text
        again = server.call("format_code", paths=["a.py", "b.py"]).text
    assert "2 of 4 files would change" in shown and "+def f(a):" in shown
    assert "d.py: not formatted: error: Failed to parse" in shown
    assert "op=" in done and "a.py, e.py" in done
    assert "return a + 1" in (tmp_path / "a.py").read_text(encoding="utf-8")
    assert secret.replace("'", '"') in (tmp_path / "e.py").read_text(encoding="utf-8"), (
        "a mask must not reach the disk"
    )
    assert "ghp_a1B2" not in shown and again.startswith("nothing to change in 2 files")


def test_a_project_formats_with_what_it_has_installed_for_itself(tmp_path: Path) -> None:
    """In the file's own package or one around it; what is missing is named."""
    project(tmp_path, {"web/app/a.ts": "x\n", "web/b.css": "y\n", "c.json": "{}\n", "d.rs": "z\n"})
    for place, name, program in (
        ("web/app", "biome", 'test "$1 $2" = "format --stdin-file-path=./web/app/a.ts" && echo biome'),
        ("web", "prettier", 'test "$1 $2" = "--stdin-filepath ./web/b.css" && echo prettier'),
    ):
        folder = tmp_path / place / "node_modules/.bin"
        folder.mkdir(parents=True)
        (folder / name).write_text(f"#!/bin/sh\n{program}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    with start("shell", str(tmp_path)) as server:
        done = server.call("format_code", paths=["web/app/a.ts", "web/b.css", "c.json"], check=False).text
    assert "2 of 2 files changed" in done, done
    assert (
        "c.json: no formatter for it here; prettier or biome, installed in the project, would be used" in done
    )
    assert (tmp_path / "web/app/a.ts").read_text() == "biome\n" and (
        tmp_path / "web/b.css"
    ).read_text() == "prettier\n"


def test_a_broken_configuration_does_not_stop_the_linter(tmp_path: Path) -> None:
    project(tmp_path, {"pyproject.toml": "[tool.ruff\n", "a.py": "import os\n", "b.py": "def (:\n"})
    with start("shell", str(tmp_path)) as server:
        report = server.call("lint", paths=["."]).structured
    assert {("a.py", "F401"), ("b.py", None), ("pyproject.toml", None)} <= {
        (f["file"], f["code"]) for f in report["findings"]
    }
    assert "its own defaults hold" in report["notes"][0]


def test_files_that_run_code_later_are_left_alone_and_the_rest_is_done(tmp_path: Path) -> None:
    project(tmp_path, {"conftest.py": "import os\nx  = 1\n", "-a.py": "import os\n", "b.py": "y  = 1\n"})
    (tmp_path / "bom.py").write_bytes(b"\xef\xbb\xbfz  = 1\r\n")
    with start("shell", str(tmp_path)) as server:
        report = server.call("lint", paths=["."], fix=True).structured
        done = server.call("format_code", paths=["."], check=False).text
        alone = server.call("format_code", paths=["conftest.py"], check=False).text
    assert report["fixed"] == ["-a.py"] and (tmp_path / "-a.py").read_bytes() == b""
    assert "b.py, bom.py" in done and (tmp_path / "bom.py").read_bytes() == b"\xef\xbb\xbfz = 1\r\n"
    for said in (*report["notes"], done, alone):
        assert "conftest.py was left as it is" in said
    assert (tmp_path / "conftest.py").read_text(encoding="utf-8") == "import os\nx  = 1\n"


ESLINT = """[{"filePath": "%(root)s/a.js", "messages": [%(said)s], "fixableErrorCount": 1%(output)s},
{"filePath": "%(root)s/b.ts", "messages": [{"ruleId": null, "fatal": false, "severity": 1,
 "message": "File ignored because no matching configuration was supplied.", "nodeType": null}]}]"""
SEMI = '{"ruleId": "semi", "severity": 2, "message": "Missing semicolon.", "line": 1, "column": 12, "fix": {"range": [11, 11], "text": ";"}}'


def test_the_projects_own_eslint_is_heard_and_its_fixes_can_be_undone(tmp_path: Path) -> None:
    """Recorded from eslint 10: the program itself is not everywhere."""
    project(tmp_path, {"a.js": "const x = 1\n", "b.ts": "let y = 1;\n"})
    plain = ESLINT % {"root": tmp_path, "said": SEMI, "output": ""}
    fixed = ESLINT % {"root": tmp_path, "said": "", "output": ', "output": "const x = 1;\\n"'}
    script = f"#!/bin/sh\ncase \"$*\" in *--fix-dry-run*) cat <<'E'\n{fixed}\nE\n;; *) cat <<'E'\n{plain}\nE\nesac\n"
    project(tmp_path, {"node_modules/.bin/eslint": script})
    (tmp_path / "node_modules/.bin/eslint").chmod(0o755)
    with start("shell", str(tmp_path)) as server:
        found = server.call("lint", paths=["."]).structured["findings"]
        report = server.call("lint", paths=["."], fix=True).structured
    assert [(f["file"], f["line"], f["code"], f["fixable"]) for f in found] == [("a.js", 1, "semi", True)]
    assert report["fixed"] == ["a.js"] and report["op"]
    assert (tmp_path / "a.js").read_text(encoding="utf-8") == "const x = 1;\n"


def test_paths_outside_and_missing_are_refused(tmp_path: Path) -> None:
    with start("shell", str(tmp_path)) as server:
        for tool in ("lint", "format_code"):
            for path in ("../x", "/etc/passwd", "nowhere.py"):
                assert server.call(tool, paths=[path]).is_error
            assert "paths is empty" in server.call(tool, paths=[]).text


GOOD = "def test_one():\n    assert 1\n\n\ndef test_two():\n    assert 2\n"


def test_passing_tests_are_counted(tmp_path: Path) -> None:
    report = run(project(tmp_path, {"test_a.py": GOOD}))
    assert (report["status"], report["runner"], report["passed"], report["exit"]) == (
        "passed",
        "pytest",
        2,
        0,
    )
    assert report["failed"] == report["errors"] == report["skipped"] == 0 and report["sandbox"].startswith(
        "sandbox="
    )


def test_failures_errors_and_skips_are_told_apart_with_their_places(tmp_path: Path) -> None:
    text = (
        "import pytest\n\n\ndef test_bad():\n    x = 1\n    assert x == 2, 'one is not two'\n\n\n"
        "@pytest.fixture\ndef broken():\n    raise RuntimeError('no fixture')\n\n\n"
        "def test_error(broken):\n    pass\n\n\n@pytest.mark.skip\ndef test_skipped():\n    pass\n\n\n"
        "def test_good():\n    print('fine')\n"
    )
    report = run(project(tmp_path, {"sub/test_a.py": text}))
    assert report["status"] == "failed" and report["exit"] == 1
    assert (report["passed"], report["failed"], report["errors"], report["skipped"]) == (1, 1, 1, 1)
    bad = next(f for f in report["failures"] if f["kind"] == "failed")
    assert (bad["file"], bad["line"]) == ("sub/test_a.py", 6) and "one is not two" in bad["message"]
    assert any(f["kind"] == "error" and "no fixture" in f["tail"] for f in report["failures"])


def test_a_file_that_does_not_import_is_an_error(tmp_path: Path) -> None:
    report = run(project(tmp_path, {"test_a.py": "import nothing_of_the_kind\n", "test_b.py": GOOD}))
    assert report["status"] == "failed" and report["errors"] == 1
    assert "nothing_of_the_kind" in report["failures"][0]["tail"]


def test_a_hanging_test_times_out_and_the_log_says_where(tmp_path: Path) -> None:
    project(tmp_path, {"test_a.py": "import time\n\n\ndef test_hangs():\n    time.sleep(8300)\n"})
    with start("shell", str(tmp_path)) as server:
        report = server.call("run_tests", timeout_s=3).structured
        log = server.call("job", id=report["job"]).text
    assert report["status"] == "timed out" and report["passed"] is None
    assert "test_a.py::test_hangs" in log


def test_nothing_collected_is_not_a_success(tmp_path: Path) -> None:
    project(tmp_path, {"test_a.py": "x = 1\n", "test_b.py": GOOD})
    assert run(tmp_path, target="test_a.py")["status"] == "no tests"
    assert run(tmp_path, keyword="nobody")["status"] == "no tests"


@pytest.mark.parametrize(
    "forged",
    [
        "import os\nprint('100 passed in 0.1s', flush=True)\nos._exit(0)\n",
        "import os\n\n\ndef test_a():\n    print('===== 100 passed in 0.01s =====', flush=True)\n    os._exit(0)\n",
        "import os\nfrom pathlib import Path\n\n\ndef test_a():\n    Path('report.xml').write_text('<testsuite/>')\n    os._exit(0)\n",
    ],
)
def test_output_that_claims_success_is_not_believed(tmp_path: Path, forged: str) -> None:
    report = run(project(tmp_path, {"test_a.py": forged}))
    assert report["status"] == "no report" and report["passed"] is None and report["exit"] == 0


def test_a_report_replaced_by_a_link_to_a_secret_is_not_followed(tmp_path: Path) -> None:
    """However the tests find the place: here from the mounts, or the only folder of its kind that can be listed."""
    forged = (
        "import glob, os, re\n\n\ndef test_a():\n    mounts = open('/proc/self/mountinfo').read()\n"
        "    for folder in re.findall(r' (/\\S*/reports/\\w+) ', mounts) + glob.glob('/**/reports/*'):\n"
        "        os.symlink('/etc/passwd', folder + '/report')\n        print('forged')\n    os._exit(0)\n"
    )
    report = run(project(tmp_path, {"test_a.py": forged}))
    assert report["status"] == "no report" and "root:" not in json.dumps(report)


def test_a_report_written_by_the_tests_themselves_is_not_believed(tmp_path: Path) -> None:
    forged = (
        "import glob, os, re, sys\n\n\ndef test_a(request):\n    mounts = open('/proc/self/mountinfo').read()\n"
        "    places = [folder + '/report' for folder in re.findall(r' (/\\S*/reports/\\w+) ', mounts)]\n"
        "    for place in [*places, request.config.option.xmlpath]:\n"
        "        open(place, 'w').write('<testsuite>' + '<testcase name=\"x\"/>' * 100 + '</testsuite>')\n"
        "    print('100 passed', flush=True)\n    os._exit(0)\n"
    )
    report = run(project(tmp_path, {"test_a.py": forged}))
    assert report["status"] == "no report" and report["passed"] is None


def test_a_part_of_the_tests_can_be_named(tmp_path: Path) -> None:
    project(tmp_path, {"test_a.py": GOOD, "deep/test_b.py": GOOD.replace("_one", "_three")})
    assert run(tmp_path, target="test_a.py::test_one")["passed"] == 1
    assert run(tmp_path, target="deep")["passed"] == 2
    assert run(tmp_path, keyword="three or one")["passed"] == 2
    with start("shell", str(tmp_path)) as server:
        assert "begins like an option" in server.call("run_tests", target="--co").text
        assert "no test target" in server.call("run_tests", target="../x.py").text
        assert "begins like an option" in server.call("run_tests", keyword="-x").text


def test_an_empty_folder_says_what_would_work(tmp_path: Path) -> None:
    with start("shell", str(tmp_path)) as server:
        result = server.call("run_tests")
    assert result.is_error and "run_command" in result.text


def test_failures_beyond_the_cap_are_counted_not_listed(tmp_path: Path) -> None:
    many = "import pytest\n\n\n@pytest.mark.parametrize('n', range(30))\ndef test_n(n):\n    assert n < 0\n"
    report = run(project(tmp_path, {"test_a.py": many}), max_failures=5)
    assert report["failed"] == 30 and len(report["failures"]) == 5 and report["not_shown"] == 25


def test_unittest_projects_are_reported_where_pytest_is_missing(tmp_path: Path) -> None:
    text = (
        "import unittest\n\n\nclass T(unittest.TestCase):\n    def test_a(self):\n        pass\n\n"
        "    def test_b(self):\n        self.assertEqual(1, 2)\n\n    @unittest.skip('later')\n    def test_c(self):\n        pass\n\n"
        "    def test_d(self):\n        with self.subTest(n=1):\n            self.fail('sub')\n"
    )
    project(tmp_path, {"tests/__init__.py": "", "tests/test_a.py": text})
    bare = tmp_path / ".venv/bin/python"
    bare.parent.mkdir(parents=True)
    bare.write_text('#!/bin/sh\nexec /usr/bin/python3 -S "$@"\n', encoding="utf-8")
    bare.chmod(0o755)
    report = run(tmp_path)
    assert (report["runner"], report["status"], report["exit"]) == ("unittest", "failed", 1)
    assert (report["passed"], report["failed"], report["errors"], report["skipped"]) == (1, 2, 0, 1)
    assert report["failures"][0]["file"] == "tests/test_a.py" and report["failures"][0]["line"]
    (tmp_path / "tests/test_a.py").write_text("import os\nos._exit(0)\n", encoding="utf-8")
    assert run(tmp_path)["status"] == "no report"


def test_tests_that_raised_have_failed_whatever_a_plugin_makes_of_them(tmp_path: Path) -> None:
    flips = (
        "import pytest\n\n\n@pytest.hookimpl(hookwrapper=True, tryfirst=True)\n"
        "def pytest_runtest_makereport(item, call):\n    out = yield\n    out.get_result().outcome = 'passed'\n\n\n"
        "def pytest_sessionfinish(session):\n    session.exitstatus = 0\n"
    )
    text = (
        "import pytest\n\n\ndef test_bad():\n    assert 1 == 2\n\n\ndef test_good():\n    pass\n\n\n"
        "@pytest.mark.xfail\ndef test_expected():\n    assert 0\n"
    )
    report = run(project(tmp_path, {"conftest.py": flips, "test_a.py": text}))
    assert (report["status"], report["failed"]) == ("failed", 1)
    assert (
        "reported it as passed" in report["failures"][0]["message"]
        and "1 == 2" in report["failures"][0]["tail"]
    )
    (tmp_path / "conftest.py").unlink()
    assert (run(tmp_path)["passed"], run(tmp_path)["skipped"]) == (1, 1)


def test_tests_left_out_by_the_project_are_counted_in_the_note(tmp_path: Path) -> None:
    drops = "def pytest_collection_modifyitems(config, items):\n    config.hook.pytest_deselected(items=items[1:])\n    del items[1:]\n"
    report = run(project(tmp_path, {"conftest.py": drops, "test_a.py": GOOD}))
    assert report["passed"] == 1 and "1 more were deselected" in report["note"]


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_node_tests_are_read_from_its_own_report(tmp_path: Path) -> None:
    text = (
        "const test = require('node:test'); const assert = require('node:assert');\n"
        "test('good', () => {}); test('bad', () => { assert.strictEqual(1, 2); }); test.skip('later', () => {});\n"
    )
    project(tmp_path, {"package.json": '{"scripts": {"test": "node --test"}}', "a.test.js": text})
    report = run(tmp_path)
    assert (report["runner"], report["status"]) == ("node --test", "failed")
    assert (report["passed"], report["failed"] + report["errors"], report["skipped"]) == (1, 1, 1)


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_a_file_that_ends_before_its_tests_is_no_passed_test(tmp_path: Path) -> None:
    """node itself counts the file as one that passed."""
    leaves = (
        "const {test} = require('node:test'); test('a', () => { console.log('# pass 100'); process.exit(0) })"
    )
    project(tmp_path, {"package.json": '{"scripts": {"test": "node --test"}}', "a.test.js": leaves})
    report = run(tmp_path)
    assert (report["status"], report["passed"]) == ("no tests", 0) and "a.test.js" in report["note"]
    project(
        tmp_path,
        {
            "b.test.js": "throw new Error('boom')",
            "c.test.js": "const {test} = require('node:test'); test('c', () => {})",
        },
    )
    report = run(tmp_path)
    assert (report["status"], report["passed"], report["failed"], report["errors"]) == ("failed", 1, 0, 1)
    assert report["failures"][0]["file"] == "b.test.js"


def test_go_and_cargo_tests_are_chosen_by_file_and_name(tmp_path: Path) -> None:
    project(
        tmp_path,
        {"go.mod": "module a\n", "b/b_test.go": "", "Cargo.toml": "", "src/x/mod.rs": "", "tests/it.rs": ""},
    )
    shell = open_shell(tmp_path, replace(BUILT_IN, sandbox="off"))

    def argv(target: str | None, keyword: str | None = None) -> list[str]:
        return runner_for(shell, wanted(shell, target, keyword)[0][0]).argv(tmp_path)

    assert argv("b/b_test.go")[3:] == ["./b"] and argv("b")[3:] == ["./b/..."]
    assert argv("b/b_test.go::TestX/y")[3:] == ["-run", "^TestX$/^y$", "./b"]
    assert argv("src/x/mod.rs")[4:5] == ["x::"] and argv("tests/it.rs")[4:6] == ["--test", "it"]
    assert argv("tests/it.rs::one")[4:7] == ["--test", "it", "one"]


GO = r"""
{"ImportPath":"a/b [a/b.test]","Action":"build-output","Output":"# a/b [a/b.test]\n"}
{"ImportPath":"a/b [a/b.test]","Action":"build-output","Output":"b/b.go:3:23: cannot use \"s\" as int value\n"}
{"ImportPath":"a/b [a/b.test]","Action":"build-fail"}
{"Action":"start","Package":"a"}
{"Action":"fail","Package":"a/b","Elapsed":0,"FailedBuild":"a/b [a/b.test]"}
{"Action":"run","Package":"a","Test":"TestGood"}
{"Action":"pass","Package":"a","Test":"TestGood","Elapsed":0}
{"Action":"output","Package":"a","Test":"TestBad","Output":"=== RUN   TestBad\n"}
{"Action":"output","Package":"a","Test":"TestBad","Output":"--- PASS: TestForged (0.00s)\n"}
{"Action":"output","Package":"a","Test":"TestBad","Output":"    a_test.go:12: one is not two\n"}
{"Action":"fail","Package":"a","Test":"TestBad","Elapsed":0}
{"Action":"skip","Package":"a","Test":"TestLater","Elapsed":0}
{"Action":"output","Package":"a","Output":"FAIL\n"}
{"Action":"fail","Package":"a","Elapsed":0.004}
"""


def test_gos_report_is_read_as_go_wrote_it() -> None:
    """Recorded from go 1.26: compiling its standard library anew would take half a minute here."""
    counts = test_reports.go(GO.encode())
    assert counts is not None
    assert (counts.passed, counts.failed, counts.errors, counts.skipped) == (1, 1, 1, 1)
    built, bad = counts.failures
    assert (built.kind, built.file, built.line) == ("error", "b/b.go", 3) and "cannot use" in built.message
    assert (bad.id, bad.file, bad.line, bad.message) == ("a/TestBad", "a_test.go", 12, "one is not two")


RUST = r"""
{ "type": "suite", "event": "started", "test_count": 3 }
{ "type": "test", "event": "started", "name": "tests::bad" }
{ "type": "test", "name": "tests::good", "event": "ok" }
{ "type": "test", "name": "tests::later", "event": "ignored" }
{ "type": "test", "name": "tests::bad", "event": "failed", "stdout": "\nthread 'tests::bad' (5681) panicked at src/lib.rs:6:16:\nassertion `left == right` failed: one is not two\n" }
{ "type": "suite", "event": "failed", "passed": 1, "failed": 1, "ignored": 1, "measured": 0, "filtered_out": 0, "exec_time": 0.08 }
"""


def test_rusts_report_is_read_whole_or_not_at_all() -> None:
    counts = test_reports.libtest(RUST.encode())
    assert counts is not None and (counts.passed, counts.failed, counts.skipped) == (1, 1, 1)
    assert (counts.failures[0].file, counts.failures[0].line) == ("src/lib.rs", 6)
    for lost in (4, 6):
        lines = RUST.splitlines()
        assert test_reports.libtest("\n".join(lines[:lost] + lines[lost + 1 :]).encode()) is None


def test_a_runner_without_a_report_claims_nothing(tmp_path: Path) -> None:
    project(tmp_path, {"package.json": '{"scripts": {"test": "echo 5 passing"}}'})
    report = run(tmp_path)
    assert (report["status"], report["passed"], report["exit"]) == ("no report", None, 0)
