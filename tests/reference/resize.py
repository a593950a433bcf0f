# /// script
# dependencies = ["numpy", "opencv-python-headless"]
# ///
"""Writes tests/data/resize: a random image and what cv2.resize makes of it, INTER_LINEAR (to-) and INTER_AREA (area-)."""
from pathlib import Path

import cv2
import numpy as np

folder = Path(__file__).parent.parent / "data" / "resize"
folder.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(9)
# Noise on a gradient: every rounding occurs, and PNG still compresses a little.
y, x = np.mgrid[0:61, 0:83]
source = ((x * 3 + y * 2)[..., None] + rng.integers(0, 120, (61, 83, 3))).astype(np.uint8)
cv2.imwrite(str(folder / "source.png"), source)
for width, height in [(64, 47), (41, 30), (83, 60), (100, 75), (7, 90), (200, 3)]:
    resized = cv2.resize(source, (width, height), interpolation=cv2.INTER_LINEAR)
    cv2.imwrite(str(folder / f"to-{width}x{height}.png"), resized)
for width, height in [(64, 47), (80, 60), (41, 30), (27, 20), (7, 5), (83, 20), (1, 1)]:
    resized = cv2.resize(source, (width, height), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(folder / f"area-{width}x{height}.png"), resized)
# Whole factors, 2 and 3, have arithmetic of their own.
for name, width, height in [("half", 41, 30), ("third", 27, 20)]:
    factor = {"half": 2, "third": 3}[name]
    part = np.ascontiguousarray(source[: height * factor, : width * factor])
    resized = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(folder / f"{name}-{width}x{height}.png"), resized)
