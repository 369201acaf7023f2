"""What a caller is told where other programs kept the machine busy on which a model ran on the processor."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..engines.protocol import Runtime
from ..engines.threads import are_measured
from ..forecast.speed_model import is_busy
from ..ledger.receipt import Advised
from .ran import Ran


def busy_cores(ran: Ran) -> float | None:
    """Cores that other programs used meanwhile; None where they were too few to be felt, or it is not known."""
    return ran.busy_cores if is_busy(ran.busy_cores) and not ran.answer.profile.gpu_share else None


@dataclass(slots=True)
class Contention:
    """Advice about threads on one engine: once for each model, until it was measured."""

    runtime: Runtime
    _told: set[str] = field(default_factory=set[str])

    def advice(self, ran: Ran) -> list[Advised]:
        """Blocking."""
        url, model, cores = self.runtime.url, ran.model.name, busy_cores(ran)
        on_cpu = ran.answer.profile.gpu_share == 0 and self.runtime.name.startswith("Ollama")
        if cores is None or url is None or not on_cpu or model in self._told or are_measured(url, model):
            return []
        self._told.add(model)
        say = (
            f"other programs kept {cores:.1f} cores busy, which makes a model that uses all of them many times slower: "
            f"`understudy calibrate {model} --threads --host {url}` measures whether one thread fewer is better"
        )
        return [Advised(action="fewer_threads", say=say)]
