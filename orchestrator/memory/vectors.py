"""Vectors in SQLite: as bytes in a column, compared by the extension sqlite-vec, or by ourselves where it cannot load."""

from __future__ import annotations

import math
import sqlite3
from array import array
from collections.abc import Sequence
from importlib import import_module
from operator import mul


def packed(vector: Sequence[float]) -> bytes:
    """As sqlite-vec takes it: 32-bit floats, one behind the other."""
    return array("f", vector).tobytes()


def add_distance(database: sqlite3.Connection) -> None:
    """The SQL function vec_distance_cosine on this connection: 0 for the same direction, 2 for the opposite one."""
    try:
        extension = import_module("sqlite_vec")
        database.enable_load_extension(True)
        try:
            extension.load(database)
        finally:
            database.enable_load_extension(False)
    except (
        ImportError,
        AttributeError,
        sqlite3.Error,
    ):  # many Pythons are built without loading of extensions
        database.create_function("vec_distance_cosine", 2, _distance, deterministic=True)


def _distance(one: bytes, other: bytes) -> float | None:
    a, b = array("f", one), array("f", other)
    size = math.hypot(*a) * math.hypot(*b)
    return 1.0 - sum(map(mul, a, b)) / size if size and len(a) == len(b) else None
