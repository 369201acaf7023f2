"""One process at a time goes on with a run that survives its process: two would ask every question twice."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from servers.state.home import home
from servers.state.one_process import HeldElsewhere, held_alone

from ..errors import RunError


@contextmanager
def alone(run: str) -> Generator[None]:
    """Hold the run until the block ends, or the process does. Raises RunError while another holds it.

    Where the state folder cannot be written to, nothing is held: what is not kept is not resumed either.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(held_alone(home() / "runs" / f"{run}.lock"))
        except HeldElsewhere as exc:
            raise RunError(
                f"the run {run} is being gone on with by process {exc}; wait for it, or end it"
            ) from None
        except (ImportError, OSError):
            pass
        yield
