"""A measured figure as its readers get it: to four significant digits, for they pay for every one."""

from __future__ import annotations

from typing import Annotated

from pydantic import PlainSerializer


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


Number = Annotated[float | None, PlainSerializer(_short)]
