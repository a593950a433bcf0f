"""Which ONNX Runtime library a detector loads: that of the installed wheel of its device, if there is one."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path

from . import _native

_NAMES = ("libonnxruntime.", "onnxruntime.dll")


def onnxruntime_library(device: str) -> Path | None:
    """The library of the installed package that has the device; nothing lets yolo9 find or fetch one.

    ``ORT_DYLIB_PATH`` goes first, as for the program.
    """
    package = _native.library_package(device)
    if package is None or os.environ.get("ORT_DYLIB_PATH"):
        return None
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    libraries = [Path(str(file.locate())) for file in files if file.name.startswith(_NAMES)]
    return next((path for path in libraries if path.is_file()), None)
