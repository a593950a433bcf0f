"""What people see while a run goes on, on stderr."""

from __future__ import annotations

import sys
import time

_EVERY = 2.0
"""Seconds between lines; more where nobody looks."""


class Progress:
    """A line that is written again on a terminal, and one from time to time elsewhere."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._every = _EVERY if self._terminal else 15 * _EVERY
        self._total = self._done = 0
        self._start = self._said = time.monotonic()

    def say(self, text: str) -> None:
        """A line of its own."""
        if not self._quiet:
            print(text, file=sys.stderr)

    def begin(self, total: int, text: str) -> None:
        """From here on time counts."""
        self._total = total
        self._start = self._said = time.monotonic()
        self.say(text)

    def advance(self, count: int) -> None:
        """So many more are done."""
        self.reach(self._done + count)

    def reach(self, done: int) -> None:
        """So many are done in all."""
        self._done = done
        now = time.monotonic()
        if self._quiet or now - self._said < self._every:
            return
        self._said = now
        rate = self._done / (now - self._start)
        left = (self._total - self._done) / rate if rate > 0 else 0.0
        line = f"{self._done} of {self._total} images, {rate:.1f} per second, {_duration(left)} left"
        print(f"\r{line:<70}" if self._terminal else line, end="" if self._terminal else "\n", file=sys.stderr, flush=True)

    def end(self, text: str) -> None:
        """The last line."""
        seconds = time.monotonic() - self._start
        rate = f" ({self._done / seconds:.1f} images per second)" if seconds > 0 else ""
        self.say(("\r" if self._terminal else "") + text + rate)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{int(seconds):02}" if hours else f"{minutes}:{int(seconds):02}"
