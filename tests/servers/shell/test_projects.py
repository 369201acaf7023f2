"""run_tests finds every project of a workspace, is never green by omission, and takes its own ids as targets."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from servers.output import ToolError
from servers.shell.jobs.shell import open_shell
from servers.shell.policy.rules import BUILT_IN
from servers.shell.quality.projects import owning, projects
from servers.shell.quality.test_runners import runner_for, wanted
from tests.servers.shell.test_quality import project, run
from tests.stdio import start

needs_node = pytest.mark.skipif(not shutil.which("node"), reason="needs node")
PASSES = "def test_a():\n    pass\n"
FAILS = "def test_b():\n    assert 1 == 2\n"
NODE = {
    "package.json": '{"scripts": {"test": "node --test"}}',
    "a.test.js": "require('node:test').test('a', () => {})",
}


def found(root: Path) -> set[str]:
    return {f"{one.kind} {one.folder.relative_to(root)}" for one in projects(root)[0]}


def without_pytest(root: Path) -> None:
    bare = root / ".venv/bin/python"
    bare.parent.mkdir(parents=True)
    bare.write_text('#!/bin/sh\nexec /usr/bin/python3 -S "$@"\n', encoding="utf-8")
    bare.chmod(0o755)


@needs_node
def test_a_failing_test_below_a_passing_root_fails_the_run(tmp_path: Path) -> None:
    report = run(project(tmp_path, {**NODE, "backend/test_x.py": FAILS}))
    assert (report["status"], report["passed"], report["failed"]) == ("failed", 1, 1)
    assert report["failures"][0]["id"] == "backend/test_x.py::test_b"
    assert report["failures"][0]["file"] == "backend/test_x.py"
    assert "passed for . (node --test)" in report["note"] and "backend (pytest): failed" in report["note"]


@needs_node
@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({"lib/tox.ini": "[tox]\n"}, 'lib (tox): run_command("tox", cwd="lib")'),
        ({"lib/noxfile.py": ""}, 'lib (nox): run_command("nox", cwd="lib")'),
        ({"tox.ini": "[tox]\n"}, '. (tox): run_command("tox")'),
        ({"Makefile": "test: build\n\t./a.out\n"}, '. (make): run_command("make test")'),
    ],
)
def test_what_only_another_runner_tests_is_no_pass(tmp_path: Path, files: dict[str, str], left: str) -> None:
    report = run(project(tmp_path, {**NODE, **files}))
    assert report["status"] == "incomplete" and report["passed"] == 1
    assert f"passed for . (node --test); not run: {left} runs it" in report["note"]


@needs_node
@pytest.mark.parametrize(
    ("script", "left"),
    [
        ("node --test && mocha e2e", "mocha e2e"),
        ("node --test unit; npm run ui && npm run lint", "playwright test"),
        ("run-s unit ui", "playwright test"),
        ("cross-env CI=1 node --test && eslint . && tsc --noEmit || true", None),
        ("npm run unit", None),
    ],
)
def test_what_a_test_script_runs_beside_its_runner_is_no_pass(
    tmp_path: Path, script: str, left: str | None
) -> None:
    scripts = {"test": script, "unit": "node --test", "ui": "playwright test", "lint": "custom-linter"}
    report = run(project(tmp_path, {**NODE, "package.json": json.dumps({"scripts": scripts})}))
    if report["runner"] == "npm test":  # the script as a whole, which leaves no report
        assert report["status"] == "no report"
    else:
        assert (report["status"], report["passed"]) == ("incomplete" if left else "passed", 1)
        assert not left or left in report["note"]


@needs_node
@pytest.mark.parametrize(
    "files",
    [
        {"pytest.ini": "[pytest]\npython_files = check_*.py\n", "check_a.py": FAILS},
        {".pytest.ini": "[pytest]\npython_files = check_*.py\n", "check_a.py": FAILS},
        {"pyproject.toml": '[tool.pytest.ini_options]\npython_files = ["qa.py"]\n', "qa.py": FAILS},
        {"setup.cfg": "[tool:pytest]\naddopts = --doctest-modules\n", "a.py": '""">>> 1\n2\n"""\n'},
    ],
)
def test_tests_that_only_pytests_configuration_names_are_run_too(
    tmp_path: Path, files: dict[str, str]
) -> None:
    report = run(project(tmp_path, {**NODE, **{f"backend/{name}": text for name, text in files.items()}}))
    assert (report["status"], report["passed"], report["failed"]) == ("failed", 1, 1)


@pytest.mark.parametrize(
    "files",
    [
        {"pytest.ini": "[pytest]\ntestpaths = unit\n", "unit/test_a.py": PASSES, "e2e/test_b.py": FAILS},
        {"conftest.py": "collect_ignore_glob = ['e2e/*']\n", "test_a.py": PASSES, "e2e/test_b.py": FAILS},
        {"setup.cfg": "[tool:pytest]\naddopts = --ignore=e2e\n", "test_a.py": PASSES, "e2e/test_b.py": FAILS},
    ],
)
def test_files_that_the_projects_configuration_leaves_out_are_named(
    tmp_path: Path, files: dict[str, str]
) -> None:
    report = run(project(tmp_path, {**files, "test_helpers.py": "x = 1\n"}))
    assert (report["status"], report["passed"]) == ("passed", 1)
    assert report["note"] == "left out by the project's configuration: e2e/test_b.py"


@pytest.mark.parametrize(
    "skip", ["pytestmark = pytest.mark.skip", "pytest.skip('x', allow_module_level=True)"]
)
def test_where_all_tests_are_skipped_none_ran(tmp_path: Path, skip: str) -> None:
    report = run(project(tmp_path, {"test_a.py": f"import pytest\n{skip}\n{FAILS}"}))
    assert (report["status"], report["skipped"]) == ("no tests", 1)
    assert report["note"] == "none ran: all 1 were skipped"


@pytest.mark.parametrize(
    "text",
    ['#[tokio::test(flavor = "x")]\n', "#[rstest]\n", "proptest! {}\n", "/// ```\n/// assert!(false);\n"],
)
def test_rust_tests_are_known_in_every_spelling(tmp_path: Path, text: str) -> None:
    assert found(
        project(tmp_path, {"tests/test_a.py": PASSES, "r/Cargo.toml": "", "r/src/lib.rs": text})
    ) == {
        "python .",
        "cargo r",
    }


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({"j/build.gradle": "", "j/gradlew": "", "j/app/build.gradle.kts": ""}, {"j: ./gradlew test"}),
        ({"pom.xml": "", "core/pom.xml": "", "other/x/pom.xml": ""}, {".: mvn test"}),
        ({"a/pom.xml": "", "a/src/main/A.java": "", "a/src/test/B.java": ""}, {"a: mvn test"}),
        ({"android/build.gradle": "", "android/app/src/main/A.kt": ""}, set()),
        ({"c/GNUmakefile": "CC=cc\ncheck : all\n\t./t\n"}, {"c: make check"}),
        ({"c/Makefile": "test := x\nlatest:\n\ttrue\n"}, set()),
        ({"d/deno.json": '{"tasks": {"test": "x"}}', "e/deno.jsonc": "{}"}, {"d: deno task test", "e: deno test"}),
        ({"setup.cfg": "[tox:tox]\n", "p/pyproject.toml": "[tool.tox]\n"}, {".: tox", "p: tox"}),
        ({"tox.ini": "[tox]\n", "noxfile.py": "", "tests/test_a.py": ""}, set()),
        ({"tox.ini": "[tox]\n", "package.json": '{"scripts": {"test": "x"}}', "py/test_a.py": ""}, set()),
        ({"Makefile": "test:\n\tuv run pytest\n", "tests/test_a.py": ""}, set()),
        ({"Makefile": "test:\n\tcd web && npm test\n", **{f"web/{k}": v for k, v in NODE.items()}}, set()),
        ({"Makefile": "test:\n\t./run_c\n", "tests/test_a.py": ""}, {".: make test"}),
        ({"tests/fixtures/x/tox.ini": "[tox]\n", "node_modules/x/Makefile": "test:\n"}, set()),
        ({"x/App.sln": "", "y/CMakeLists.txt": "enable_testing()\n", "z/mix.exs": ""}, {"x: dotnet test", "y: cmake -B build && cmake --build build && ctest --test-dir build", "z: mix test"}),
        ({"r/spec/spec_helper.rb": "", "k/Rakefile": "Rake::TestTask.new\n"}, {"r: bundle exec rspec", "k: rake test"}),
        ({"p/composer.json": '{"scripts": {"test": "pest"}}', "n/T.csproj": "Microsoft.NET.Test.Sdk"}, {"p: composer test", "n: dotnet test"}),
        ({"m/meson.build": "test('a', exe)\n", "b/a.bats": "", "j/justfile": "test *args:\n  ./t\n"}, {"m: meson setup build && meson test -C build", "b: bats .", "j: just test"}),
        ({"justfile": "test:\n  uv run pytest\n", "tests/test_a.py": ""}, set()),
        ({"tests/test_a.py": "", "web/a.test.js": "", "web/b.spec.ts": ""}, {"web: node --test"}),
    ],
)  # fmt: skip
def test_other_runners_are_found_unless_they_start_what_is_run_anyway(
    tmp_path: Path, files: dict[str, str], left: set[str]
) -> None:
    others = projects(project(tmp_path, files))[1]
    assert {f"{one.folder.relative_to(tmp_path)}: {one.command}" for one in others} == left


def test_where_only_another_runner_has_tests_the_command_is_named(tmp_path: Path) -> None:
    project(tmp_path, {"tox.ini": "[tox]\n", "jvm/pom.xml": ""})
    with start("shell", str(tmp_path)) as server:
        whole, part = server.call("run_tests"), server.call("run_tests", target="jvm")
    assert whole.is_error and '. (tox): run_command("tox") runs it' in whole.text
    assert part.is_error and 'jvm (maven): run_command("mvn test", cwd="jvm")' in part.text
    assert "tox" not in part.text


def test_a_gate_leaves_out_other_runners_that_own_no_changed_file(tmp_path: Path) -> None:
    project(tmp_path, {"app/setup.py": "", "app/test_a.py": PASSES, "lib/tox.ini": "[tox]\n"})
    shell = open_shell(tmp_path, replace(BUILT_IN, sandbox="off"))
    assert wanted(shell, None, None, ["app/a.py"])[1] == []
    assert wanted(shell, None, None, ["app/a.py", "lib/x.py"])[1][0].startswith("lib (tox)")
    with pytest.raises(ToolError, match=r"not run: lib \(tox\)"):
        wanted(shell, None, None, ["lib/x.py"])


@needs_node
def test_a_known_failure_is_told_as_one_beside_a_runner_without_a_report(tmp_path: Path) -> None:
    plain = {"package.json": '{"scripts": {"test": "node -e 0"}}'}
    report = run(project(tmp_path, {**plain, "backend/test_x.py": FAILS}))
    assert (report["status"], report["failed"]) == ("failed", 1)
    assert ". (npm test): no report" in report["note"]


@needs_node
def test_a_project_that_cannot_run_is_no_pass(tmp_path: Path) -> None:
    project(tmp_path, {**NODE, "backend/test_x.py": PASSES})
    without_pytest(tmp_path / "backend")
    report = run(tmp_path)
    assert report["status"] == "incomplete" and report["passed"] == 1
    assert "passed for . (node --test); not run: backend (pytest): " in report["note"]
    assert "install pytest" in report["note"]


@pytest.mark.parametrize(
    "text",
    [
        PASSES,
        "import pytest\nimport unittest\nclass T(unittest.TestCase):\n    def test_a(self): pass\n",
        "class TestA:\n    def test_a(self): pass\n",
        "async def test_a():\n    pass\n",
    ],
)
def test_tests_for_pytest_without_pytest_ask_for_it(tmp_path: Path, text: str) -> None:
    project(tmp_path, {"test_a.py": text})
    without_pytest(tmp_path)
    with start("shell", str(tmp_path)) as server:
        result = server.call("run_tests")
    assert result.is_error and "install pytest" in result.text


@pytest.mark.parametrize(
    ("files", "there"),
    [
        ({**NODE, "backend/test_x.py": ""}, {"node .", "python backend"}),
        ({**NODE, "tests/test_x.py": ""}, {"node .", "python ."}),
        ({"pyproject.toml": "[tool.ruff]\n", "backend/test_x.py": ""}, {"python backend"}),
        ({"pyproject.toml": "[project]\nname='x'\n", "backend/test_x.py": ""}, {"python ."}),
        (
            {"pyproject.toml": "[project]\nname='x'\n", "tests/test_x.py": "", "sub/setup.py": "", "sub/test_y.py": ""},
            {"python .", "python sub"},
        ),
        ({"go.work": "use ./a ./b\n", "a/go.mod": "", "a/x_test.go": "", "b/go.mod": "", "b/y_test.go": ""}, {"go a", "go b"}),
        (
            {
                "Cargo.toml": '[workspace]\nmembers = ["crates/*"]\nexclude = ["crates/z"]\n',
                "crates/x/Cargo.toml": "[package]\n",
                "crates/x/src/lib.rs": "#[test]\nfn a() {}\n",
                "crates/z/Cargo.toml": "[package]\n",
                "crates/z/src/lib.rs": "#[tokio::test]\nasync fn a() {}\n",
            },
            {"cargo .", "cargo crates/z"},
        ),
        (
            {"package.json": "{}", "web/package.json": '{"scripts": {"test": "vitest"}}', "api/package.json": "{}", "api/x.spec.ts": ""},
            {"node web", "node api"},
        ),
        ({"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}', "test_a.py": ""}, {"python ."}),
        ({"tox.ini": "[tox]\n", "tests/test_a.py": ""}, {"python ."}),
        ({"svc/noxfile.py": "", "svc/tests/test_a.py": ""}, {"python svc"}),
        ({"node_modules/x/package.json": '{"scripts": {"test": "x"}}', "test_a.py": "", ".hidden/test_b.py": ""}, {"python ."}),
    ],
)  # fmt: skip
def test_every_project_is_found_where_it_lies(tmp_path: Path, files: dict[str, str], there: set[str]) -> None:
    assert found(project(tmp_path, files)) == there


def test_several_python_projects_run_each_in_its_own_folder(tmp_path: Path) -> None:
    project(
        tmp_path,
        {
            "one/pyproject.toml": "[project]\nname='one'\n",
            "one/app.py": "X = 1\n",
            "one/tests/test_app.py": "import app\n\n\ndef test_x():\n    assert app.X == 1\n",
            "two/pyproject.toml": "[project]\nname='two'\n",
            "two/app.py": "X = 2\n",
            "two/tests/test_app.py": "import app\n\n\ndef test_x():\n    assert app.X == 3\n",
        },
    )
    report = run(tmp_path)
    assert (report["status"], report["passed"], report["failed"]) == ("failed", 1, 1)
    again = run(tmp_path, target=report["failures"][0]["id"])
    assert (again["failed"], again["passed"]) == (1, 0)
    assert run(tmp_path, target="one")["passed"] == 1


def test_tests_that_nothing_marks_import_from_the_root_and_from_their_folder(tmp_path: Path) -> None:
    project(
        tmp_path,
        {
            **NODE,
            "backend/app.py": "X = 1\n",
            "backend/tests/test_a.py": "import app\n\n\ndef test_x():\n    assert app.X\n",
            "backend/tests/test_b.py": "import backend.app\n\n\ndef test_x():\n    assert backend.app.X\n",
        },
    )
    assert run(tmp_path, target="backend")["passed"] == 2


def test_a_gate_takes_the_projects_that_own_the_changed_files(tmp_path: Path) -> None:
    project(tmp_path, {**NODE, "backend/test_x.py": PASSES, "lib/setup.py": "", "lib/test_y.py": PASSES})
    all_of_them = projects(tmp_path)[0]

    def owners(*changed: str) -> set[str]:
        return {str(one.folder.relative_to(tmp_path)) for one in owning(all_of_them, tmp_path, changed)}

    assert owners("backend/x.py") == {"backend"} and owners("lib/a/b.py", "backend/z.py") == {
        "lib",
        "backend",
    }
    assert owners("index.js") == {"."} and owners() == {".", "backend", "lib"}


IDS = {
    "param": (
        "import pytest\n\n\nclass TestA:\n    @pytest.mark.parametrize('n', [1, 2])\n    def test_n(self, n):\n        assert n == 1\n",
        "deep/test_a.py::TestA::test_n[2]",
    ),
    "plain": (FAILS + "\n\ndef test_bc():\n    pass\n", "deep/test_a.py::test_b"),
    "setup": (
        "import pytest\n\n\n@pytest.fixture\ndef f():\n    raise ValueError\n\n\ndef test_f(f):\n    pass\n",
        "deep/test_a.py::test_f",
    ),
}


@pytest.mark.parametrize("which", IDS)
def test_the_id_of_a_failed_pytest_test_is_a_target(tmp_path: Path, which: str) -> None:
    text, ident = IDS[which]
    failure = run(project(tmp_path, {"pytest.ini": "[pytest]\n", "deep/test_a.py": text}))["failures"][0]
    assert failure["id"] == ident
    again = run(tmp_path, target=ident)
    assert (again["failed"] + again["errors"], again["passed"]) == (1, 0)


def test_the_id_of_a_failed_unittest_test_is_a_target(tmp_path: Path) -> None:
    text = (
        "import unittest\n\n\nclass T(unittest.TestCase):\n    def test_a(self):\n        self.fail()\n\n"
        "    def test_d(self):\n        with self.subTest(n=1.5):\n            self.fail('sub')\n"
    )
    project(tmp_path, {"tests/__init__.py": "", "tests/test_a.py": text})
    without_pytest(tmp_path)
    ids = [failure["id"] for failure in run(tmp_path)["failures"]]
    assert ids == ["tests/test_a.py::T::test_a", "tests/test_a.py::T::test_d (n=1.5)"]
    for ident in ids:
        again = run(tmp_path, target=ident)
        assert (again["runner"], again["failed"], again["passed"]) == ("unittest", 1, 0)


@needs_node
def test_the_id_of_a_failed_node_test_is_a_target(tmp_path: Path) -> None:
    text = (
        "const {test} = require('node:test'); const assert = require('node:assert');\n"
        "test('adds \"(1 + 1)\"', () => { assert.strictEqual(1, 2); });\ntest('adds', () => {});\n"
    )
    project(tmp_path, {"web/package.json": NODE["package.json"], "web/a b.test.js": text})
    (failure,) = run(tmp_path)["failures"]
    assert failure["id"] == 'web/a b.test.js::adds "(1 + 1)"'
    again = run(tmp_path, target=failure["id"])
    assert again["failed"] == 1 and again["passed"] == 0


def test_ids_of_go_rust_and_jest_tests_choose_just_that_test(tmp_path: Path) -> None:
    project(
        tmp_path,
        {
            "svc/go.mod": "module example.org/svc\n",
            "svc/b/b_test.go": "",
            "rs/Cargo.toml": "[package]\n",
            "rs/src/lib.rs": "#[test]\nfn adds() {}\n",
            "other/Cargo.toml": "[package]\n",
            "other/src/lib.rs": "#[test]\nfn takes() {}\n",
            "rs/src/docs.rs": "",
            "rs/tests/it.rs": "#[test]\n",
            "web/package.json": '{"scripts": {"test": "jest"}}',
            "web/a.test.ts": "",
            "web/node_modules/.bin/jest": "",
        },
    )
    shell = open_shell(tmp_path, replace(BUILT_IN, sandbox="off"))

    def argv(target: str) -> list[str]:
        (one,) = wanted(shell, target, None)[0]
        return runner_for(shell, one).argv(tmp_path)

    assert argv("example.org/svc/b/TestX/y")[3:] == ["-run", "^TestX$/^y$", "./b/..."]
    assert argv("example.org/svc/TestX")[3:] == ["-run", "^TestX$", "./..."]
    assert argv("rs::tests::adds")[4:7] == ["tests::adds", "--", "--exact"]
    assert wanted(shell, "tests::takes", None)[0][0].folder == tmp_path / "other"
    assert argv("src/docs.rs - f (line 2)")[4:7] == ["--doc", "src/docs.rs", "--"]
    assert argv("web/a.test.ts::sums (a+b)")[-3:] == ["-t", r"sums\ \(a\+b\)$", "a.test.ts"]
