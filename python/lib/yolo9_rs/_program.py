"""The program ``yolo9``, which the wheel brings along, and what it says."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ._errors import BY_KIND, CommandError

_LOG = logging.getLogger("yolo9")
_LEVELS = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO}
_INTERRUPTED = 130
_WHEN_INTERRUPTED = 30.0
"""Seconds in which the program may end what it has begun after Ctrl-C."""


def program() -> Path:
    """The program of this installation, else the one on the PATH.

    Raises:
        FileNotFoundError: There is none.
    """
    name = "yolo9.exe" if os.name == "nt" else "yolo9"
    try:
        files = importlib.metadata.files("yolo9-rs") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    installed = next((Path(str(file.locate())) for file in files if file.name == name), None)
    if installed is not None and installed.is_file():
        return installed
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(
            "the program yolo9 is not part of this installation, nor on the PATH; `pip install ./python` builds both, and "
            "`cargo install --path .` the program alone"
        )
    return Path(found)


def environment() -> dict[str, str]:
    """That of this process, with its Python first: the program then finds the ONNX Runtime that is installed there."""
    variables = dict(os.environ)
    # Where it looks for installed packages.
    folder = os.path.dirname(sys.executable)
    variables["PATH"] = os.pathsep.join([folder, variables.get("PATH", os.defpath)])
    return variables


def arguments(options: Mapping[str, Any]) -> list[str]:
    """Keywords as options: ``count_conf=0.5`` is ``--count-conf=0.5``, True a flag, a list the option once for each
    value, ``imgsz=(480, 640)`` height and width; None and False leave it out."""
    words: list[str] = []
    for keyword, value in options.items():
        if keyword == "help":
            raise ValueError("help: not an option of a function; `yolo9 COMMAND --help` lists the options")
        name = "--" + keyword.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            words.append(name)
        elif keyword == "imgsz" and isinstance(value, (list, tuple)):
            words.append(f"{name}={'x'.join(_text(side) for side in value)}")
        elif isinstance(value, (list, tuple)):
            words += [f"{name}={_text(one)}" for one in value]
        else:
            words.append(f"{name}={_text(value)}")
    return words


def _text(value: Any) -> str:
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def run(command: str, words: Sequence[str]) -> str:
    """Runs a command; what it says goes to the logger ``yolo9``, what it prints is returned.

    Raises:
        Yolo9Error: By what went wrong. ValueError: An option is wrong. KeyboardInterrupt: It was interrupted.
    """
    # Settings of a working folder are for people at a terminal.
    line = [str(program()), "--log", "json", "--no-config", command, *words]
    process = subprocess.Popen(
        line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True,
        encoding="utf-8", errors="replace",
    )  # fmt: skip
    try:
        printed, said = process.communicate()
    except KeyboardInterrupt:
        # A terminal has told it too; others tell this process alone.
        if not _ends(process, 1.0):
            process.send_signal(signal.SIGINT)
            if not _ends(process, _WHEN_INTERRUPTED):
                process.kill()
                process.wait()
        raise
    except BaseException:
        process.kill()
        process.wait()
        raise
    failure, plain = None, []
    for line_said in said.splitlines():
        event = _event(line_said)
        if event is None:
            plain.append(line_said)
        elif "kind" in event:
            failure = event
        elif event.get("event") == "message":
            _LOG.log(_LEVELS.get(event["level"], logging.INFO), "%s", event["message"])
    if process.returncode == 0 or (process.returncode == 2 and printed):
        return printed
    raise _exception(failure, plain, process.returncode)


def _ends(process: subprocess.Popen[str], seconds: float) -> bool:
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _event(line: str) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "level" in event else None


def _as_keywords(message: str) -> str:
    """Options as they are written in Python: ``--exist-ok`` is ``exist_ok``."""
    return re.sub(r"(?<![\w-])--([a-z][a-z0-9-]*)", lambda option: option[1].replace("-", "_"), message)


def _exception(failure: dict[str, Any] | None, plain: Sequence[str], code: int) -> BaseException:
    if code == _INTERRUPTED:
        return KeyboardInterrupt()
    if failure is not None:
        kind, words = BY_KIND.get(failure["kind"]), _as_keywords(failure["message"])
        return CommandError(words, code) if kind is None else kind(words)
    message = "\n".join(plain).strip()
    if code == 1 and message:
        # clap's own words about the command line.
        return ValueError(_as_keywords(message.removeprefix("error: ")))
    return CommandError(_as_keywords(message) or f"yolo9 ended with exit code {code}", code)
