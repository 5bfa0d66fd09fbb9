"""Runs tests of Python's unittest. Called as: tests.py NAME..., each a module or a package.

Prints a line of JSON for each test, and for each class or module that could not begin.
"""
import importlib
import json
import sys
import unittest


class Lines(unittest.TestResult):
    def line(self, test, outcome, why=""):
        print(json.dumps({"test": test.id(), "outcome": outcome, "why": why[-2000:]}), flush=True)

    def addSuccess(self, test):
        self.line(test, "passed")

    def addSkip(self, test, reason):
        self.line(test, "skipped", str(reason))

    def addError(self, test, err, details=None):
        self.line(test, "failed", self.text(test, err, details))

    addFailure = addError

    def text(self, test, err, details):
        """What went wrong: testtools says it in details, unittest by the exception."""
        if err:
            return self._exc_info_to_string(err, test)
        return "".join("".join(detail.iter_text()) for detail in (details or {}).values())


suite = unittest.TestSuite()
for name in sys.argv[1:]:
    module = importlib.import_module(name)
    if hasattr(module, "__path__"):
        top = list(sys.modules[name.partition(".")[0]].__path__)[0]
        found = unittest.TestLoader().discover(
            list(module.__path__)[0], top_level_dir=top.rpartition("/")[0])
    else:
        found = unittest.defaultTestLoader.loadTestsFromModule(module)
    suite.addTests(found)
suite.run(Lines())
