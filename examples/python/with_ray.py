"""Detection as a step of a Ray Data pipeline: reads images, detects, counts classes.

    python examples/python/with_ray.py models/parcels/images [best.pt]
"""

import collections
import sys

import ray
import ray.data

from yolo9_rs.ray import Detect


def main(folder: str, weights: str | None = None) -> None:
    images = ray.data.read_binary_files(folder, include_paths=True, file_extensions=["jpg", "png"])
    boxes = images.map_batches(
        Detect, fn_constructor_kwargs={"weights": weights, "conf": 0.4}, batch_size=16, num_cpus=1, concurrency=1
    )
    counts = collections.Counter(found["name"] for row in boxes.iter_rows() for found in row["detections"] or [])
    for name, count in counts.most_common():
        print(f"{name}: {count}")


if __name__ == "__main__":
    main(*sys.argv[1:])
