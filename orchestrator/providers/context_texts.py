"""Vendors' many words for one fact: the request does not fit the model's context; and the numbers they name."""

from __future__ import annotations

import re

_TOO_LONG = re.compile(
    r"""
      context[ _-]?(?:length|window|size|limit) | maximum[ ]context | exceed_context | available[ ]context
    | prompt[ ]is[ ]too[ ]long | prompt[ ]too[ ]long | prompt[ ]tokens[ ]too[ ]long | prompt[ ]exceeds | maximum[ ]prompt[ ]length
    | prompt\b[^.]{0,40}\blonger[ ]than | longer[ ]than[ ]the[ ](?:maximum[ ]model[ ]length|model)
    | too[ ]many[ ](?:input[ ])?tokens | input[ ]token[ ]count | input[ ]tokens?[ ]exceed | number[ ]of[ ]input[ ]tokens
    | (?:prompt|message|input)[ ]token[ ]count | token[ ](?:count|length|limit)\b[^.]{0,40}\b(?:exceed|too[ ]long)
    | exceed(?:s|ed)?\b[^.]{0,40}\b(?:model[ ]token[ ]limit|(?:input|prompt|message)[ ](?:length|tokens)|max[ ]message[ ]tokens|max[ ]length)
    | input\b[^.]{0,20}\b(?:is[ ])?too[ ]long | input[ ]length[ ](?:exceeds|too|\d) | range[ ]of[ ]input[ ]length | too[ ]long[ ]for[ ]requested[ ]model
    | inputs?[`'" ]*(?:tokens)?[ ]*\+[ ]*`?max_new_tokens | inputs?[`'"]?[ ]must[ ]have[ ]less[ ]than
    | size[ ]limit[ ]exceeded[ ]by | reduce[ ]the[ ]length | too[ ]large[ ]for[ ]model[ ]with | tokens_limit_reached
    | max[ ]size:[ ][\d,]+[ ]tokens | expected[ ]maxlength | max[ ]input[ ](?:characters|tokens) | total[ ]number[ ]of[ ]tokens
    | request[ ](?:too[ ]large|exceeds) | sequence[ ]length\b[^.]{0,40}\b(?:exceed|longer|greater) | 超长 | 上下文长度
    """,
    re.IGNORECASE | re.VERBOSE,
)
_ANSWER = re.compile(
    r"max_(?:completion_|output_|new_)?tokens\b[^.]{0,60}(?:too large|must be|at most|maximum allowed|less than or equal|> ?\d)"
    r"|maximum (?:allowed )?number of output tokens|supports at most [\d,]+ completion tokens",
    re.IGNORECASE,
)
"""The same words of a cap of the answer that is too high, which a shorter prompt does not cure."""
_BOTH = re.compile(r"inputs?[`'\" ]*(?:tokens)?[ ]*\+|input length and|context", re.IGNORECASE)


def too_long(words: str) -> bool:
    """Whether a vendor says that the request does not fit."""
    if _ANSWER.search(words) and not _BOTH.search(words):
        return False
    return _TOO_LONG.search(words) is not None
