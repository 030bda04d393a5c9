"""Draws docs/images/report-first-screen.png: the first screen of results/report.html, in Chromium.

python docs/figures/first_screen.py
"""

import io
import shutil
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "results" / "report.html"
TARGET = ROOT / "docs" / "images" / "report-first-screen.png"
SIZE = {"width": 1280, "height": 900}


def main() -> None:
    """Take the picture, and store it with as few colours as it needs."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.goto(PAGE.as_uri())
        picture = Image.open(io.BytesIO(page.screenshot()))
        browser.close()
    colours = picture.convert("RGB").quantize(64, dither=Image.Dither.NONE)
    colours.save(TARGET, optimize=True)
    print(TARGET)


if __name__ == "__main__":
    main()
