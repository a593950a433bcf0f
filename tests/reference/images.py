# /// script
# dependencies = ["pillow"]
# ///
"""Writes tests/data/images/cmyk.jpg: a kind of image that the image crate cannot write."""
from pathlib import Path

from PIL import Image

folder = Path(__file__).parent.parent / "data" / "images"
folder.mkdir(parents=True, exist_ok=True)
sample = Image.open(Path(__file__).parent.parent.parent / "models" / "sample-parcels.jpg")
sample.crop((0, 360, 640, 660)).resize((320, 150)).convert("CMYK").save(folder / "cmyk.jpg", quality=80)
