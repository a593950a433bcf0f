"""Detects in all images of a folder while the next ones are decoded, and writes COCO results, which FiftyOne and pycocotools
read; with supervision installed, says how much of each image is covered by objects.

    python examples/python/folder.py models/parcels/images results.json [best.pt]
"""

import json
import sys
from pathlib import Path

import yolo9_rs

try:
    import supervision
except ImportError:
    supervision = None


def main(folder: str, results: str, weights: str | None = None) -> None:
    # Two sessions, each with half of the threads: on a CPU faster than one with all.
    detector = yolo9_rs.Detector(weights, sessions=2)
    paths = sorted(path for path in Path(folder).iterdir() if path.suffix in (".jpg", ".png"))
    entries = []
    for path, detections in zip(paths, detector.stream(paths, errors="yield")):
        if isinstance(detections, yolo9_rs.ImageError):
            print(f"{path}: {detections}", file=sys.stderr)
            continue
        entries += detections.to_coco(path.stem)
        covered = ""
        if supervision is not None:
            height, width = detections.image_shape
            covered = f", {detections.to_supervision().area.sum() / (height * width):.1%} of it covered"
        print(f"{path.name}: {len(detections)} objects{covered}")
    Path(results).write_text(json.dumps(entries))


if __name__ == "__main__":
    main(*sys.argv[1:])
