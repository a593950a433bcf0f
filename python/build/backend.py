"""Builds the wheel: the program ``yolo9`` by cargo, then the module by maturin, from the same crates with the same features.

Everything else is maturin's. ``YOLO9_CARGO_FEATURES`` takes the place of ``yolo9-python/cloud``, object stores in the program.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

from maturin import *  # noqa: F403
from maturin import build_editable as _build_editable
from maturin import build_wheel as _build_wheel
from maturin import prepare_metadata_for_build_wheel as _prepare_metadata

HERE = Path(__file__).resolve().parent.parent
SCRIPTS = HERE / "yolo9_rs.data" / "scripts"


def _features() -> list[str]:
    return ["--features", os.environ.get("YOLO9_CARGO_FEATURES", "yolo9-python/cloud")]


def _build_program() -> None:
    # Both packages in one go: cargo then builds what they share once, with the features of both.
    command = [
        "cargo", "build", "--locked", "--release", "--manifest-path", str(HERE.parent / "Cargo.toml"), "--package", "yolo9",
        "--package", "yolo9-python", "--bin", "yolo9", *_features(), "--message-format", "json-render-diagnostics",
    ]  # fmt: skip
    built = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith(b"{")]
    program = next(message["executable"] for message in messages if message.get("executable"))
    shutil.rmtree(SCRIPTS, ignore_errors=True)
    SCRIPTS.mkdir(parents=True)
    shutil.copy2(program, SCRIPTS)
    os.environ["MATURIN_PEP517_ARGS"] = shlex.join(["--locked", *_features()])


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):  # type: ignore[no-untyped-def]
    # maturin wants the folder, though not yet what belongs into it.
    SCRIPTS.mkdir(parents=True, exist_ok=True)
    return _prepare_metadata(metadata_directory, config_settings)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):  # type: ignore[no-untyped-def]
    _build_program()
    return _build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):  # type: ignore[no-untyped-def]
    _build_program()
    return _build_editable(wheel_directory, config_settings, metadata_directory)
