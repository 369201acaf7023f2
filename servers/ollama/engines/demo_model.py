"""A model built by hand that recites: real inference over known words, for machines without any model.

Its embeddings are one-hot and its attention is zero, so each token alone decides the next: it walks along its
phrases. The chat template ends the prompt with a marker, chosen by words in the conversation, and the marker
decides which answer is said. It understands nothing, and whoever shows it says so; its timings are real.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from ...state.home import home
from .chain_model import ALPHABET, END, USER_DEFINED, write_model
from .protocol import EngineError
from .replay import Recitation, RecitedAnswer

NOTE = "recited: the demonstration model says canned phrases and understands nothing; its timings are real"
CONTEXT = 32768
MAX_TOKENS = 4000
_SIZES = (4, 5, 3, 6, 7, 8, 2)
"""Characters of a phrase's token, about as many as a common tokenizer's; the others where those are taken."""
_TEMPLATE = """{%- for message in messages %}{{- '<|' + message.role + '|>\\n' + message.content + '\\n' }}{%- endfor %}"""

DEMO = Recitation.model_validate(
    {
        "models": [{"name": "demo"}],
        "answers": [
            {
                "text": "I am the demonstration model. I recite this sentence whatever I am asked, and I understand "
                "nothing; the seconds you see were really spent on it."
            }
        ],
    }
)


def demo_model(recitation: Recitation = DEMO) -> Path:
    """The GGUF file that recites these answers, built when it is not there yet: about a second.

    Each answer is said whenever its `when` occurs in the conversation, the first that fits; one without `when` last.
    Raises EngineError when the engine's libraries are missing or the answers are too long.
    """
    told = recitation.model_dump_json()
    name = recitation.models[0].name
    mark = hashlib.sha256(f"1\0{told}".encode()).hexdigest()[:12]
    try:
        folder = home() / "models" / mark
        path = folder / f"{name.replace('/', '-')}.gguf"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _built(path, name, recitation.answers)
    except ImportError as exc:
        raise EngineError("building the demonstration model needs: pip install 'understudy[engine]'") from exc
    except OSError as exc:
        raise EngineError(f"the demonstration model cannot be built: {exc}") from exc
    return path


def _built(path: Path, name: str, answers: Sequence[RecitedAnswer]) -> None:
    """The finished file in one step: another process may be building the same."""
    fresh = path.with_name(f"building-{os.getpid()}")
    try:
        tokens, kinds, follows = [t for t, _ in ALPHABET], [kind for _, kind in ALPHABET], dict[int, int]()
        markers = [_add_chain(tokens, kinds, follows, n, answer.text) for n, answer in enumerate(answers)]
        template = _TEMPLATE + _choice(answers, markers)
        write_model(fresh, name, tokens, kinds, follows, template=template, context=CONTEXT)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _add_chain(tokens: list[bytes], kinds: list[int], follows: dict[int, int], number: int, text: str) -> str:
    """Add the tokens of one answer, each followed by the next; its marker. Raises EngineError."""
    marker = f"§{number}§"
    first = len(tokens)
    if text.encode() in tokens[: len(ALPHABET)]:  # a single letter: its token is there, and the answer's end
        chain: list[bytes] | None = [marker.encode()]
        follows[first] = tokens.index(text.encode())
    else:
        tries = (_pieces(text, set(tokens), size) for size in _SIZES)
        found = next((pieces for pieces in tries if pieces is not None), None)
        chain = None if found is None else [marker.encode(), *found]
    if chain is None or len(tokens) + len(chain) > MAX_TOKENS:
        raise EngineError(f"answer {number + 1} is too long to recite, or too like another: {text[:60]!r}")
    tokens += chain
    kinds += [USER_DEFINED] * len(chain)
    for place in range(first, len(tokens)):
        follows.setdefault(place, place + 1 if place + 1 < len(tokens) else END)
    return marker


def _pieces(text: str, known: set[bytes], size: int) -> list[bytes] | None:
    """The text in pieces, no two of them alike and none in `known`: a token must tell where in it we are."""
    pieces: list[bytes] = []
    at = 0
    while at < len(text):
        taken = size
        while text[at : at + taken].encode() in known and at + taken < len(text):
            taken += 1
        pieces.append(text[at : at + taken].encode())
        while (
            pieces[-1] in known and len(pieces) > 1
        ):  # its end was said before: the piece in front takes it in
            last = pieces.pop()
            known.discard(pieces[-1])
            pieces[-1] += last
        if pieces[-1] in known:
            return None
        known.add(pieces[-1])
        at += taken
    return pieces


def _choice(answers: Sequence[RecitedAnswer], markers: Sequence[str]) -> str:
    """The template's end: which marker stands before the answer."""
    known = list(zip(answers, markers, strict=True))
    told = [(answer.when, marker) for answer, marker in known if answer.when]
    always = next((marker for answer, marker in known if not answer.when), known[-1][1])
    said = "{%- set said = messages | map(attribute='content') | join('\\n') %}"
    tests = "".join(f"{{%- if {json.dumps(when)} in said %}}{marker}{{%- else %}}" for when, marker in told)
    return f"{said}{{{{- '<|assistant|>\\n' }}}}{tests}{always}{'{%- endif %}' * len(told)}"
