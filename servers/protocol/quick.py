"""The SDK imported in three quarters of the time."""

from __future__ import annotations

import gc
import importlib

from pydantic import BaseModel


def import_quickly(module: str) -> None:
    """Import a module that imports `mcp`, before anything else has.

    Its hundreds of wire models are then built when first used, most of them never, and no collection
    runs over what an import keeps anyway.
    """
    collecting = gc.isenabled()
    gc.disable()
    BaseModel.model_config["defer_build"] = True
    try:
        importlib.import_module(module)
    finally:
        BaseModel.model_config.pop("defer_build", None)
        if collecting:
            gc.enable()
