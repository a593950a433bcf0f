"""Detects the objects of one image, prints them and draws them.

    python examples/python/detect.py models/sample-parcels.jpg drawn.png [best.pt]
"""

import sys

from PIL import Image

import yolo9_rs


def main(image: str, drawn: str, weights: str | None = None) -> None:
    detector = yolo9_rs.Detector(weights, conf=0.4)
    detections = detector.detect(image)
    for name, confidence, (left, top, right, bottom), _ in detections:
        print(f"{name} {confidence:.2f} {left:.0f},{top:.0f} to {right:.0f},{bottom:.0f}")
    Image.fromarray(detections.plot()).save(drawn)


if __name__ == "__main__":
    main(*sys.argv[1:])
