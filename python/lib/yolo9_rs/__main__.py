"""``python -m yolo9_rs`` is the program ``yolo9``."""

from __future__ import annotations

import os
import subprocess
import sys

from ._program import environment, program


def main() -> int:
    """Runs the program in the place of this process, where the system can."""
    try:
        line = [str(program()), *sys.argv[1:]]
    except FileNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if os.name == "nt":
        return subprocess.call(line, env=environment())
    os.execve(line[0], line, environment())


if __name__ == "__main__":
    sys.exit(main())
