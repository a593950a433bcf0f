#!/usr/bin/env python3
"""Checks exported files with onnx.checker and runs them with a stock onnxruntime: no operator of ours is registered.

    python3 -m venv venv && venv/bin/pip install numpy onnx onnxruntime
    PATH="$PWD/venv/bin:$PATH" cargo test --test library export:: -- --nocapture

The test writes NAME.onnx, NAME.input.npy and NAME.output.npy (what yolo9 computed) into a folder, and calls this script
with it. Every value may differ by 1e-4, relative to itself or to 1 (f16: by 2 pixels and 0.02 for cells that score
above 0.25).
"""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime


def outputs(path, image):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = dict(zip([o.name for o in session.get_outputs()], session.run(None, {"images": image})))
    if "output0" in found:
        return found["output0"][0]
    scores, classes = found["scores"][0][:, None], found["classes"][0][:, None]
    return np.concatenate([found["boxes"][0], scores, classes.astype(np.float32)], axis=1)


def main():
    folder = pathlib.Path(sys.argv[1])
    files = sorted(folder.glob("*.onnx"))
    failed = False
    for path in files:
        onnx.checker.check_model(str(path), full_check=True)
        image, expected = (np.load(path.with_suffix(f".{part}.npy")) for part in ("input", "output"))
        found = outputs(path, image)
        difference = np.abs(found - expected) / np.maximum(np.abs(expected), 1)
        limit = 1e-4
        if "half" in path.stem:
            difference = np.abs(found - expected)[:, expected[4:].max(axis=0) > 0.25]
            difference[:4] /= 100
            limit = 0.02
        ok = found.shape == expected.shape and difference.max() <= limit
        failed |= not ok
        print(f"{'ok  ' if ok else 'FAIL'} {path.stem:<42} largest difference {difference.max():.1e}")
    print(f"{len(files)} files, onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}")
    sys.exit(failed or not files)


if __name__ == "__main__":
    main()
