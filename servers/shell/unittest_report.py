"""Runs unittest and leaves a JUnit report: `PYTHON unittest_report.py REPORT [discover] [-k PATTERN] [TARGET]`.

Runs under the project's own Python: standard library alone, nothing newer than 3.8.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
import unittest
from typing import Any
from xml.etree import ElementTree

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
        case = ElementTree.SubElement(suite, "testcase", classname=group, name=name, time=took)
        if tag:
            body = ElementTree.SubElement(case, tag, message=message or f"{err[0].__name__}: {err[1]}")
            body.text = "".join(traceback.format_exception(*err)) if err else ""


def main(report: str, arguments: list[str]) -> None:
    sys.path.insert(0, os.getcwd())
    kind: Any = Recorded
    runner = unittest.TextTestRunner(resultclass=kind, verbosity=2, stream=sys.stdout)
    program = unittest.main(module=None, argv=["unittest", *arguments], testRunner=runner, exit=False)
    ElementTree.ElementTree(suite).write(report, encoding="utf-8", xml_declaration=True)
    sys.exit(not program.result.wasSuccessful())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
