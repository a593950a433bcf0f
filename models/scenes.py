"""Draws labelled scenes for training the embedded models: machine-readable codes of six classes on photos and plain surfaces.

    python3 -m pip install numpy opencv-contrib-python-headless qrcode python-barcode pdf417gen ppf.datamatrix aztec_code_generator
    python3 models/scenes.py scenes --train 8000 --val 300 --size 320 --photos photos/

Writes `scenes/{images,labels}/{train,val}` and `scenes/data.yaml` (YOLO layout). The same seed draws the same scenes with the
same versions of the packages. docs/training.md says what the embedded models were trained with.
"""
import argparse
import math
import random
import string
import sys
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import barcode
import cv2
import numpy as np
import pdf417gen
import qrcode
from aztec_code_generator import AztecCode
from ppf.datamatrix import DataMatrix

CLASSES = ["qr", "barcode", "datamatrix", "aztec", "pdf417", "aruco"]
# The square matrix codes are the ones that are taken for each other, so they come more often than in the world.
FREQUENCY = [0.22, 0.17, 0.17, 0.18, 0.12, 0.14]
VALIDATION_SEED = 999_983

MARKERS = [
    cv2.aruco.getPredefinedDictionary(d)
    for d in (cv2.aruco.DICT_4X4_50, cv2.aruco.DICT_5X5_100, cv2.aruco.DICT_6X6_250, cv2.aruco.DICT_APRILTAG_36h11)
]


def text(rng, least, most, alphabet=string.ascii_letters + string.digits + "-./:"):
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(least, most)))


def qr(rng):
    code = qrcode.QRCode(border=0, error_correction=rng.choice([0, 1, 2, 3]))
    code.add_data(rng.choice(["https://", ""]) + text(rng, 4, 80))
    code.make(fit=True)
    return np.array(code.get_matrix(), bool)


def linear(rng):
    digits = {"ean13": 12, "ean8": 7, "upca": 11, "itf": rng.choice([8, 10, 14])}
    kind = rng.choice(["ean13", "ean8", "upca", "itf", "code128", "code39"])
    if kind in digits:
        data = text(rng, digits[kind], digits[kind], string.digits)
    else:
        data = text(rng, 4, 14, string.ascii_uppercase + string.digits)
    modules = np.array([c in "1G" for c in barcode.get(kind, data).build()[0]], bool)
    height = max(8, int(len(modules) * rng.uniform(0.18, 0.75)))
    return np.repeat(modules[None], height, 0)


def pdf417(rng):
    data, columns, level = text(rng, 8, 90), rng.randint(2, 7), rng.randint(1, 3)
    try:
        rows = pdf417gen.encode(data, columns=columns, security_level=level)
    except ValueError:  # fewer than the three rows that a symbol must have
        rows = pdf417gen.encode(data, columns=2, security_level=level)
    bits = [[b == "1" for word in row for b in format(word, "b")] for row in rows]
    return np.repeat(np.array(bits, bool), 3, 0)


def aruco(rng):
    dictionary = rng.choice(MARKERS)
    side = dictionary.markerSize + 2
    return cv2.aruco.generateImageMarker(dictionary, rng.randint(0, 29), side, borderBits=1) < 128


# In the order of CLASSES: each gives the modules of a code, true where they are dark.
CODES = [
    qr,
    linear,
    lambda rng: np.array(DataMatrix(text(rng, 3, 60)).matrix, bool),
    lambda rng: np.array(AztecCode(text(rng, 3, 70)).matrix, bool),
    pdf417,
    aruco,
]


def colour(rng, low, high, grey):
    """A colour of values in 0..255 from a range given in 0..1, grey with the probability `grey`."""
    values = [rng.uniform(low, high)] * 3 if rng.random() < grey else [rng.uniform(low, high) for _ in range(3)]
    return [round(255 * v) for v in values]


def plain(height, width, shade):
    return np.full((height, width, 3), shade, np.uint8)


def write(image, words, corner, height, shade):
    cv2.putText(image, words, corner, cv2.FONT_HERSHEY_SIMPLEX, height / 30, shade, max(1, int(height / 16)), cv2.LINE_AA)


def sticker(rng, kind):
    """A code on its paper: the image, 8-bit BGR, and the corners of the code in it."""
    modules = CODES[kind](rng)
    scale = max(2, 240 // max(modules.shape))
    modules = np.kron(modules, np.ones((scale, scale), bool))
    height, width = modules.shape
    quiet = int(rng.uniform(0.03, 0.3) * min(height, width)) + scale
    top, right, bottom, left = (int(quiet * (rng.uniform(1, 2.2) if rng.random() < 0.4 else 1)) for _ in range(4))
    caption = int(0.22 * height) if kind == 1 and rng.random() < 0.5 else 0
    dark, light = colour(rng, 0, 0.3, 0.65), colour(rng, 0.65, 1, 0.6)
    if rng.random() < 0.12:
        dark, light = light, dark
    image = plain(top + height + bottom + caption, left + width + right, light)
    image[top : top + height, left : left + width][modules] = dark
    if kind == 0 and rng.random() < 0.15:  # a logo in the middle
        half, y, x = int(0.1 * height), top + height // 2, left + width // 2
        image[y - half : y + half, x - half : x + half] = colour(rng, 0, 1, 0)
    if caption:
        write(image, text(rng, 6, 12, string.digits), (left, top + height + int(caption * 0.8)), caption, dark)
    corners = [[left, top], [left + width, top], [left + width, top + height], [left, top + height]]
    return image, np.array(corners, np.float32)


def distractor(rng, noise):
    """Something that looks a little like a code: text, a chessboard, stripes, coloured squares, boxes, a grid."""
    height, width = rng.randint(40, 200), rng.randint(40, 240)
    image = plain(height, width, colour(rng, 0.6, 1, 0.5))
    shade = colour(rng, 0, 0.4, 0.5)
    kind = rng.randrange(6)
    if kind == 0:
        for line in range(6):
            write(image, text(rng, 4, 18), (3, 18 + line * rng.randint(14, 30)), rng.uniform(9, 27), shade)
    elif kind == 1:
        n = rng.randint(4, 16)
        board = (np.indices((n, n)).sum(0) % 2).astype(np.float32)
        image[cv2.resize(board, (width, height), interpolation=cv2.INTER_NEAREST) > 0.5] = shade
    elif kind == 2:
        wave = np.sin(np.linspace(0, rng.uniform(10, 60), width) * np.pi) > rng.uniform(-0.3, 0.3)
        image[:, wave] = shade
    elif kind == 3:
        squares = noise.random((rng.randint(3, 12), rng.randint(3, 12))).astype(np.float32)
        image = (image * cv2.resize(squares, (width, height), interpolation=cv2.INTER_NEAREST)[..., None]).astype(np.uint8)
    elif kind == 4:
        for _ in range(rng.randint(4, 12)):
            a, b = ((rng.randint(0, width), rng.randint(0, height)) for _ in range(2))
            cv2.rectangle(image, a, b, colour(rng, 0, 1, 0), rng.choice([-1, 1, 2]))
    else:
        step = rng.randint(8, 24)
        image[::step] = shade
        image[:, ::step] = shade
    return image, np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)


def paste(rng, noise, scene, image, corners, size, taken):
    """Pastes `image`, turned, bent and lit, so that the longer side of what `corners` bounds measures `size` pixels.

    Returns the box of the corners, or nothing where it would leave the scene by more than a quarter or cover another.
    """
    side, (height, width) = scene.shape[0], image.shape[:2]
    scale = size / max(np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[2] - corners[1]))
    angle = math.radians(rng.gauss(0, 12) if rng.random() < 0.65 else rng.uniform(-180, 180))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    bend = noise.normal(0, rng.choice([0, 0.03, 0.07]), (4, 2)) * np.array([width, height])
    target = (source + bend - source.mean(0)) @ turn.T * scale * np.array([1, rng.uniform(0.8, 1)])
    target = (target + np.array([rng.uniform(0.02, 0.98) * side, rng.uniform(0.02, 0.98) * side])).astype(np.float32)
    paper = (*target.min(0), *target.max(0))
    if any(min(paper[2], b[2]) > max(paper[0], b[0]) and min(paper[3], b[3]) > max(paper[1], b[1]) for b in taken):
        return None
    warp = cv2.getPerspectiveTransform(source, target)
    whole = cv2.perspectiveTransform(corners[None], warp)[0]
    (x0, y0), (x1, y1) = whole.min(0), whole.max(0)
    left, top, right, bottom = max(0, x0), max(0, y0), min(side, x1), min(side, y1)
    if right - left < 4 or bottom - top < 4 or (right - left) * (bottom - top) < 0.75 * (x1 - x0) * (y1 - y0):
        return None
    if scale < 0.5:  # averaged first, so that modules smaller than a pixel do not alias
        k = max(1, round(0.9 / scale))
        image = cv2.blur(image, (k, k))
    # Only the window around the paper is warped and blended.
    wx, wy = max(0, int(paper[0]) - 1), max(0, int(paper[1]) - 1)
    ww, wh = min(side, int(paper[2]) + 2) - wx, min(side, int(paper[3]) + 2) - wy
    warp = np.array([[1, 0, -wx], [0, 1, -wy], [0, 0, 1]], np.float64) @ warp
    mask = cv2.warpPerspective(np.ones((height, width), np.float32), warp, (ww, wh))[..., None] * rng.uniform(0.9, 1)
    lit = cv2.warpPerspective(image, warp, (ww, wh), borderMode=cv2.BORDER_REPLICATE).astype(np.float32) / 255
    lit = lit * np.linspace(rng.uniform(0.55, 1.05), rng.uniform(0.55, 1.05), ww, dtype=np.float32)[None, :, None]
    window = scene[wy : wy + wh, wx : wx + ww]
    window[:] = window * (1 - mask) + lit * mask
    taken.append(paper)
    return left, top, right, bottom


def background(rng, noise, side):
    if rng.random() < 0.3:  # a plain surface, unevenly lit
        coarse = np.array(colour(rng, 0.15, 0.95, 0.4)) / 255 + noise.normal(0, rng.uniform(0, 0.08), (rng.randint(2, 9), rng.randint(2, 9), 3))
        return cv2.resize(coarse.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    photo = rng.choice(photos)
    height, width = photo.shape[:2]
    part = int(max(64, rng.uniform(0.5, 1) * min(height, width)))
    y, x = rng.randint(0, max(0, height - part)), rng.randint(0, max(0, width - part))
    scene = cv2.resize(photo[y : y + part, x : x + part], (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.5, 3)) if rng.random() < 0.3 else scene


def draw(rng, noise, side):
    """One scene, 8-bit BGR, and its labels: class and box (x0, y0, x1, y1) in pixels."""
    scene, taken, labels = background(rng, noise, side), [], []
    for _ in range(rng.randint(0, 2)):
        paste(rng, noise, scene, *distractor(rng, noise), rng.uniform(30, 120), taken)
    count = 0 if rng.random() < 0.04 else rng.choice([3, 5, 7, 9, 12])
    for _ in range(count):
        kind = rng.choices(range(len(CLASSES)), FREQUENCY)[0]
        image, corners = sticker(rng, kind)
        least, most = 20 if kind in (1, 4) else 14, 200 if count <= 3 else 85
        size = math.exp(rng.uniform(math.log(least), math.log(most)))
        for _ in range(6):
            box = paste(rng, noise, scene, image, corners, size, taken)
            if box:
                labels.append((kind, *box))
                break
    blur = rng.random()
    if blur < 0.35:
        scene = cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.3, 1.1))
    elif blur < 0.42:  # the camera moved
        k = rng.randint(3, 5)
        line = np.zeros((k, k), np.float32)
        line[k // 2] = 1
        line = cv2.warpAffine(line, cv2.getRotationMatrix2D((k / 2 - 0.5, k / 2 - 0.5), rng.uniform(0, 180), 1), (k, k))
        scene = cv2.filter2D(scene, -1, line / max(line.sum(), 1e-6))
    scene = scene * rng.uniform(0.5, 1.25) + rng.uniform(-0.08, 0.08)
    if rng.random() < 0.5:
        scene = scene * noise.uniform(0.85, 1.1, 3)
    scene = scene + noise.normal(0, rng.choice([0, 0.01, 0.03, 0.05]), scene.shape)
    return (np.clip(scene, 0, 1) * 255).astype(np.uint8), labels


# Of each process.
photos = []


def load(files):
    cv2.setNumThreads(1)
    photos.extend(cv2.imread(str(file)) for file in files)


def save(out, name, side, seed, i):
    """Draws and writes scene `i` of a split. Each has a seed of its own, so that the number of processes changes nothing."""
    scene, labels = draw(random.Random(f"{seed}/{i}"), np.random.default_rng([seed, i]), side)
    quality = [cv2.IMWRITE_JPEG_QUALITY, random.Random(f"{seed}/{i}/quality").randint(55, 95)]
    path = out / "images" / name / f"{i:05}.jpg"
    if not cv2.imwrite(str(path), scene, quality):
        raise OSError(f"{path} could not be written")
    rows = (
        f"{k} {(x0 + x1) / 2 / side:.6f} {(y0 + y1) / 2 / side:.6f} {(x1 - x0) / side:.6f} {(y1 - y0) / side:.6f}\n"
        for k, x0, y0, x1, y1 in labels
    )
    (out / "labels" / name / f"{i:05}.txt").write_text("".join(rows))


def split(pool, out, name, count, *rest):
    for folder in ("images", "labels"):
        (out / folder / name).mkdir(parents=True, exist_ok=True)
    pool.map(partial(save, out, name, *rest), range(count), chunksize=16)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", type=int, default=8000, help="scenes to train on (default: 8000)")
    parser.add_argument("--val", type=int, default=300, help="scenes to validate on (default: 300)")
    parser.add_argument("--size", type=int, default=320, help="width and height in pixels (default: 320)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--photos", type=Path, required=True, help="folder of JPEG photos without codes, for backgrounds")
    options = parser.parse_args()
    files = [f for f in sorted(options.photos.rglob("*.jpg")) if cv2.haveImageReader(str(f))]
    if not files:
        sys.exit(f"{options.photos}: no JPEG photo there; expected a folder of photos without codes")
    with Pool(initializer=load, initargs=(files,)) as pool:
        split(pool, options.out, "train", options.train, options.size, options.seed)
        split(pool, options.out, "val", options.val, options.size, options.seed + VALIDATION_SEED)
    names = ", ".join(CLASSES)
    (options.out / "data.yaml").write_text(f"path: .\ntrain: images/train\nval: images/val\nnc: {len(CLASSES)}\nnames: [{names}]\n")


if __name__ == "__main__":
    main()
