"""The standard-operator body of DySample in stock runtimes, against a plain numpy definition, with times.

    cargo bench --bench dysample -- --write target/dysample-models
    pip install numpy onnx onnxruntime openvino
    python tests/reference/dysample_body.py target/dysample-models

Prints, per model, the largest difference for inputs in -1..1 and the median time of each runtime that is installed.
"""

import pathlib
import sys
import time

import numpy as np

SCALE, GROUPS = 2, 4


def definition(x, offset):
    n, c, h, w = x.shape
    s, g = SCALE, GROUPS
    o = offset.reshape(n, 2, g, s, s, h, w).astype(np.float64)
    px = np.clip(np.arange(w) + o[:, 0], 0, w - 1)
    py = np.clip(np.arange(h)[:, None] + o[:, 1], 0, h - 1)
    x0, y0 = np.floor(px).astype(int), np.floor(py).astype(int)
    x1, y1 = np.ceil(px).astype(int), np.ceil(py).astype(int)
    fx, fy = (px - x0)[:, :, None], (py - y0)[:, :, None]
    groups = x.reshape(n, g, c // g, h, w)
    y = np.empty((n, g, c // g, s, s, h, w))
    for b in range(n):
        for k in range(g):
            m = groups[b, k]
            at = lambda yy, xx: m[:, yy[b, k], xx[b, k]]
            top = (1 - fx[b, k]) * at(y0, x0) + fx[b, k] * at(y0, x1)
            low = (1 - fx[b, k]) * at(y1, x0) + fx[b, k] * at(y1, x1)
            y[b, k] = (1 - fy[b, k]) * top + fy[b, k] * low
    return y.transpose(0, 1, 2, 5, 3, 6, 4).reshape(n, c, h * s, w * s)


def onnxruntime_runner(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return f"onnxruntime {onnxruntime.__version__}", lambda x, o: session.run(None, {"x": x, "offset": o})[0]


def onnx_runner(path):
    import onnx
    import onnx.reference

    onnx.checker.check_model(path, full_check=True)
    evaluator = onnx.reference.ReferenceEvaluator(path)
    return f"onnx {onnx.__version__}", lambda x, o: evaluator.run(None, {"x": x, "offset": o})[0]


def openvino_runner(path):
    import openvino

    core = openvino.Core()
    # Its own choice of precision may be bf16.
    model = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"})
    return f"openvino {openvino.__version__[:9]}", lambda x, o: model([x, o])[0]


def main(folder):
    random = np.random.default_rng(1)
    for path in sorted(pathlib.Path(folder).glob("*.onnx")):
        for runner in (onnxruntime_runner, openvino_runner, onnx_runner):
            shape = (1, 8, 5, 7) if runner is onnx_runner else (1, 512, 40, 40)
            n, c, h, w = shape
            x = random.uniform(-1, 1, shape).astype(np.float32)
            offset = random.uniform(-3, 3, (n, 2 * GROUPS * SCALE**2, h, w)).astype(np.float32)
            try:
                name, run = runner(str(path))
                y = run(x, offset)
            except ImportError:
                continue
            except Exception as error:  # what a runtime cannot do is a finding, not a failure of this script
                reason = str(error).strip().splitlines()
                print(f"{path.stem:<20} {runner.__name__:<24} FAILS: {(reason or ['?'])[-1][:120]}")
                continue
            nearest = path.stem.startswith("nearest")
            expected = x.repeat(SCALE, 2).repeat(SCALE, 3) if nearest else definition(x, offset)
            times = []
            for _ in range(1 if runner is onnx_runner else 15):
                start = time.perf_counter()
                run(x, offset)
                times.append((time.perf_counter() - start) * 1e3)
            difference = np.abs(y - expected).max()
            print(f"{path.stem:<20} {name:<24} difference {difference:.1e}  median {np.median(times):7.2f} ms")


if __name__ == "__main__":
    main(sys.argv[1])
