"""Runs a project's Python tests in a child process and leaves a JUnit report only when the runner came to its end.

    PYTHON junit_wrapper.py pytest|unittest ARGUMENTS...      with the report's path as the only line of stdin

Tests can do anything in their process. So they are not told where the report goes, a runner that is left early
(`os._exit`) attests nothing, and a test that raised is not let pass because a plugin of the project says so.
Runs under the project's own Python: standard library and its pytest alone, nothing newer than 3.8.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import traceback
import unittest
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree


def main(kind: str, arguments: list[str]) -> None:
    path, token = sys.stdin.readline().rstrip("\n"), os.urandom(16)
    sys.path[0] = os.getcwd()
    with tempfile.TemporaryFile() as attested:  # shared with the child, without a name
        child = os.fork()
        if child == 0:
            path = ""
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            runner = run_pytest if kind == "pytest" else run_unittest
            sys.exit(
                runner(arguments, lambda report: (attested.write(token + report), attested.flush(), None)[2])
            )
        status = os.waitpid(child, 0)[1]
        attested.seek(0)
        said = attested.read()
        if said[:16] == token:
            with open(path, "wb") as file:
                file.write(said[16:])
        elif os.path.lexists(path):
            os.unlink(path)
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
    sys.stdout.flush()
    os._exit(code)


def run_pytest(arguments: list[str], attest: Callable[[bytes], None]) -> int:
    import pytest  # the project's

    raised: dict[tuple[str, str], str] = {}
    deselected: list[str] = []

    class Witness:
        @pytest.hookimpl(hookwrapper=True, trylast=True)
        def pytest_runtest_makereport(self, item: Any, call: Any) -> Any:
            """Innermost: sees what was raised before any plugin of the project rewrites the report."""
            if call.excinfo is not None and not call.excinfo.errisinstance(
                (pytest.skip.Exception, pytest.xfail.Exception)
            ):
                raised[item.nodeid, call.when] = str(call.excinfo.getrepr())
            yield

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_logreport(self, report: Any) -> None:
            text = raised.pop((report.nodeid, report.when), "")
            if text and report.outcome == "passed" and not hasattr(report, "wasxfail"):
                report.outcome = "failed"
                report.longrepr = f"raised, but a plugin of the project reported it as passed\n{text}"

        def pytest_deselected(self, items: Any) -> None:
            deselected.extend(item.nodeid for item in items)

    sys.argv = ["pytest", *arguments]
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "report.xml")
        code = int(pytest.main([f"--junitxml={report}", *arguments], plugins=[Witness()]))
        try:
            tree = ElementTree.parse(report)
        except (OSError, ElementTree.ParseError):
            return code
        tree.getroot().set("deselected", str(len(deselected)))
        attest(ElementTree.tostring(tree.getroot()))
    return code


def run_unittest(arguments: list[str], attest: Callable[[bytes], None]) -> int:
    kind: Any = Recorded
    runner = unittest.TextTestRunner(resultclass=kind, verbosity=2, stream=sys.stdout)
    program = unittest.main(module=None, argv=["unittest", *arguments], testRunner=runner, exit=False)
    attest(ElementTree.tostring(suite))
    return not program.result.wasSuccessful()


suite = ElementTree.Element("testsuite", name="unittest")


class Recorded(unittest.TextTestResult):
    """A result that notes every test in JUnit's terms."""

    begun = 0.0

    def startTest(self, test: Any) -> None:
        super().startTest(test)
        self.begun = time.perf_counter()

    def addSuccess(self, test: Any) -> None:
        super().addSuccess(test)
        self.note(test)

    def addFailure(self, test: Any, err: Any) -> None:
        super().addFailure(test, err)
        self.note(test, "failure", err)

    def addError(self, test: Any, err: Any) -> None:
        super().addError(test, err)
        self.note(test, "error", err)

    def addSkip(self, test: Any, reason: str) -> None:
        super().addSkip(test, reason)
        self.note(test, "skipped", message=reason)

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        super().addExpectedFailure(test, err)
        self.note(test)

    def addUnexpectedSuccess(self, test: Any) -> None:
        super().addUnexpectedSuccess(test)
        self.note(test, "failure", message="passed, but a failure was expected")

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.note(subtest, "failure" if issubclass(err[0], test.failureException) else "error", err)

    def note(self, test: Any, tag: str = "", err: Any = None, message: str = "") -> None:
        group, _, name = test.id().rpartition(".")
        took = f"{time.perf_counter() - self.begun:.3f}"
        of_subtest = getattr(test, "test_case", test)
        if of_subtest is not test:  # its parameters may hold dots
            group, _, name = of_subtest.id().rpartition(".")
            name += test.id()[len(of_subtest.id()) :]
        file = getattr(sys.modules.get(type(of_subtest).__module__), "__file__", None) or ""
        case = ElementTree.SubElement(suite, "testcase", classname=group, name=name, time=took)
        if file.startswith(os.getcwd() + os.sep):
            case.set("file", os.path.relpath(file))
        if tag:
            body = ElementTree.SubElement(case, tag, message=message or f"{err[0].__name__}: {err[1]}")
            body.text = "".join(traceback.format_exception(*err)) if err else ""


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
