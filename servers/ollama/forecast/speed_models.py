"""The speed models of every model on a machine, kept up with the ledger; a new model borrows from the others.

A model measured before under other settings lends its whole speed model. Any other model of the same engine and
processor class lends what the machine contributes: seconds per parameter when reading, seconds per byte when
writing, and how much dearer depth is than its shape says.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping
from statistics import fmean

from ..ledger.ledger import Ledger
from ..ledger.runs import Key, settings_of
from .model_shape import TYPICAL, Shape
from .phase_model import OVERHEADS, Prior
from .speed_model import KEPT_RUNS, SpeedModel
from .token_estimates import Lengths, lengths_of

_LENDERS = 4
"""Keys a new speed model borrows from at most, the latest used."""
_START_S = 0.3
"""The part of a load that does not grow with the model."""


class SpeedModels:
    """Speed models by key. May be used by several threads; every method raises LedgerError."""

    def __init__(self, ledger: Ledger, shapes: Mapping[str, Shape] | None = None) -> None:
        """`shapes` by model digest; `know` adds to them."""
        self._ledger = ledger
        self._shapes = dict(shapes or {})
        self._speed_models: dict[tuple[Key, bool], SpeedModel] = {}
        self._lock = threading.RLock()

    def know(self, digest: str, shape: Shape) -> None:
        """Remember a model's shape: speed models made later start from it, and others borrow by it."""
        with self._lock:
            self._shapes[digest] = shape

    def of(self, key: Key) -> SpeedModel:
        """The speed model of a key, with every run recorded so far. Without any it is borrowed, or knows nothing yet.

        The size of the context does not matter. A key whose processor is unknown means the one this model used
        last with these settings: it is not loaded, or a run broke off before anybody asked where it ran.
        """
        with self._lock:
            known = self._ledger.keys(key.host)
            members = [k for k in known if _setup(k) == _setup(key)]
            last = next((k.processor for k in members if k.processor != "unknown"), "unknown")
            processor = last if key.processor == "unknown" else key.processor
            taken = (processor, "unknown") if processor == last else (processor,)
            key = Key(
                host=key.host,
                processor=processor,
                digest=key.digest,
                settings=_steady(key.settings),
                server=key.server,
            )
            members = [k for k in members if k.processor in taken]
            return self._kept(key, members, [k for k in known if k not in members])

    def lengths(
        self,
        model: str,
        kind: str,
        *,
        tokens_in: int,
        cap: int | None = None,
        think: bool = False,
        format: str | None = None,
    ) -> Lengths:
        """Lengths to expect of the model's next answer of this kind."""
        seen = self._ledger.lengths(model, kind, think=think, format=format)
        return lengths_of(seen, kind=kind, tokens_in=tokens_in, cap=cap, think=think, format=format)

    def _kept(self, key: Key, members: list[Key], others: list[Key] | None) -> SpeedModel:
        """The speed model of what ran under `members`, up to date; without `others` it stands on its own runs alone."""
        place = (key, others is not None)
        speed = self._speed_models.get(place)
        if speed is None or (others and not speed.runs):  # the lenders may know more by now
            speed = self._speed_models[place] = self._new(key, others or [])
        found = [
            run
            for member in members
            for run in self._ledger.runs(key=member, after=speed.last_id, last=KEPT_RUNS)
        ]
        for run in sorted(found, key=lambda run: run.id)[-KEPT_RUNS:]:
            speed.learn(run)
        return speed

    def _new(self, key: Key, others: list[Key]) -> SpeedModel:
        shape = self._shapes.get(key.digest)
        same_engine = [k for k in others if _engine(k) == _engine(key)]
        siblings = [k for k in same_engine if k.digest == key.digest]
        siblings.sort(key=lambda k: (k.processor != key.processor, k.settings != key.settings))
        for sibling in siblings[:_LENDERS]:
            speed = self._kept(sibling, [sibling], None)
            if speed.reading.log_rate is not None and speed.writing.log_rate is not None:
                return _sibling_of(speed, key, shape)
        relatives = [k for k in same_engine if k.digest != key.digest]
        processor = key.processor
        if processor == "unknown":  # not loaded yet: it will run where the last one did
            processor = next((k.processor for k in relatives if k.processor != "unknown"), processor)
        relatives = [k for k in relatives if k.processor in (processor, "unknown")]
        lenders = [self._kept(k, [k], None) for k in relatives[:_LENDERS]]
        lenders = [
            speed
            for speed in lenders
            if speed.reading.log_rate is not None and speed.writing.log_rate is not None
        ]
        return _relative_of(lenders, key, shape, processor) if lenders else SpeedModel(key, shape)


def _sibling_of(speed: SpeedModel, key: Key, shape: Shape | None) -> SpeedModel:
    """The same model under other settings: its speed model, a little in doubt; on another processor, a lot."""
    close = speed.key.processor == key.processor or "unknown" in (speed.key.processor, key.processor)
    spread = 0.25 if close else 1.0
    return SpeedModel(
        key,
        shape,
        reading=Prior(
            rho=speed.reading.prior.rho,
            rho_shift=speed.reading.rho_shift,
            rho_spread=0.5 if close else 1.0,
            log_rate=speed.reading.log_rate,
            rate_spread=spread,
            overheads=OVERHEADS,
        ),
        writing=Prior(
            rho=speed.writing.prior.rho,
            rho_shift=speed.writing.rho_shift,
            rho_spread=0.5 if close else 1.0,
            log_rate=speed.writing.log_rate,
            rate_spread=spread,
        ),
        loads=speed.loads,
    )


def _relative_of(lenders: list[SpeedModel], key: Key, shape: Shape | None, processor: str) -> SpeedModel:
    """Another model on the same machine; what is guessed, sizes or a place on the GPU, widens the interval."""
    here = shape or TYPICAL
    placed = key.processor != "unknown" or processor in ("cpu", "unknown")
    told = all(speed.shape for speed in lenders) and shape is not None and placed
    spread = (0.5 if told else 1.5) / math.sqrt(1 + 0.3 * (len(lenders) - 1))
    sizes = [speed.shape or TYPICAL for speed in lenders]
    read = fmean(
        (speed.reading.log_rate or 0.0) - math.log(size.params)
        for speed, size in zip(lenders, sizes, strict=True)
    )
    write = fmean(
        (speed.writing.log_rate or 0.0) - math.log(size.size_bytes)
        for speed, size in zip(lenders, sizes, strict=True)
    )
    rho_read, rho_write = here.depth_costs(processor)
    return SpeedModel(
        key,
        shape,
        reading=Prior(
            rho=rho_read,
            rho_shift=fmean(speed.reading.rho_shift for speed in lenders) if told else 0.0,
            rho_spread=0.7 if told else 1.6,
            log_rate=read + math.log(here.params),
            rate_spread=spread,
            overheads=OVERHEADS,
        ),
        writing=Prior(
            rho=rho_write,
            rho_shift=fmean(speed.writing.rho_shift for speed in lenders) if told else 0.0,
            rho_spread=0.7 if told else 1.6,
            log_rate=write + math.log(here.size_bytes),
            rate_spread=spread,
        ),
        loads=[
            _START_S + max(load_s - _START_S, 0.0) * here.size_bytes / size.size_bytes
            for speed, size in zip(lenders, sizes, strict=True)
            for load_s in speed.loads[-3:]
        ],
    )


def _setup(key: Key) -> tuple[str, str, str, str]:
    """What runs of one speed model share, whatever the processor and the size of the context."""
    return key.host, key.digest, _steady(key.settings), key.server


def _steady(settings: str) -> str:
    """The settings but the size of the context, which reloads a model and leaves its speed as it is."""
    kept: dict[str, object] = json.loads(settings)
    kept.pop("num_ctx", None)
    return settings_of(kept)


def _engine(key: Key) -> str:
    """The engine's name without its version."""
    return key.server.split(" ")[0]
