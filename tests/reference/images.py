# /// script
# dependencies = ["pillow"]
# ///
"""Writes tests/data/pictures/cmyk.jpg: a kind of picture that the image crate cannot write."""
from pathlib import Path

from PIL import Image

folder = Path(__file__).parent.parent / "data" / "pictures"
folder.mkdir(parents=True, exist_ok=True)
sample = Image.open(Path(__file__).parent.parent.parent / "models" / "sample-parcels.jpg")
sample.crop((0, 360, 640, 660)).resize((320, 150)).convert("CMYK").save(folder / "cmyk.jpg", quality=80)
