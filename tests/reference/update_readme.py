"""Runs the comparison that README.md shows, and puts what it prints and its first image there. `make readme` calls it."""

import pathlib
import shutil
import subprocess
import sys
import tempfile

COMMAND = "yolo9 compare codes-nearest codes-dysample --data models/parcels/data.yaml --out cmp"
README = pathlib.Path("README.md")

with tempfile.TemporaryDirectory() as folder:
    arguments = COMMAND.replace("--out cmp", f"--out {folder}/cmp --examples 1").split()[1:]
    run = subprocess.run([sys.argv[1], "-q", *arguments], check=True, capture_output=True, text=True)
    image = next(pathlib.Path(folder, "cmp", "images").iterdir())
    shutil.copy(image, "docs/images/compare.jpg")
text = README.read_text()
begin = text.index(f"$ {COMMAND}\n") + len(f"$ {COMMAND}\n")
end = text.index("```", begin)
README.write_text(text[:begin] + run.stdout + text[end:])
