"""What is wrong with a YAML file, in the words of a person who has to mend it."""

from __future__ import annotations

import re

import yaml

_SAID = {
    r"mapping values are not allowed here": (
        "a key where none can stand: indent it like its neighbours, put a space behind each key's colon, and quotes "
        "around a value that holds a colon"
    ),
    r"expected ',' or '(.)', but got": "a bracket is not closed by {0}{begun}",
    r"found unexpected end of stream": "a quotation is not closed{begun}",
    r"found character '\\t'": "a tab; indent with spaces",
    r"found character '(.)' that cannot start": "a value that begins with {0} wants quotes around it",
    r"found undefined alias '(.+)'": "*{0} refers to nothing; a value that begins with * wants quotes around it",
    r"could not determine a constructor for the tag '(.+)'": (
        "the tag {0} is not read here; a value that begins with ! wants quotes around it"
    ),
    r"expected <block end>, but found": (
        "a line that is indented unlike its neighbours, or a list and keys mixed{begun}"
    ),
    r"could not find expected ':'": "a key without a colon and a value{begun}",
    r"sequence entries are not allowed here": "a list behind its key; begin it on the next line, or write [a, b]",
    r"found unknown escape character '(.)'": (
        "\\{0} means nothing in double quotes; in single quotes it stays as it is"
    ),
    r"but found another document": "a second document (---); a configuration is one",
}


def in_words(exc: yaml.MarkedYAMLError) -> str:
    """The parser's finding; its own words where we have none."""
    problem = exc.problem or " ".join(str(exc).split())
    begun = f"; it began on line {exc.context_mark.line + 1}" if exc.context_mark else ""
    for pattern, said in _SAID.items():
        if found := re.search(pattern, problem):
            return said.format(*found.groups(), begun=begun)
    return problem
