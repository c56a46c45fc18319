"""Draw docs/pictures/browser-*.png: the pages of `localrag serve` over examples/ in Chromium, with the demo model."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from localrag.settings import load_settings

ROOT = Path(__file__).parents[1]
MODEL = "qwen2.5-coder-1.5b-instruct"
QUESTION = "Within how many days must the Trust now pay Quillfen's invoices?"
COLOURS = 128  # enough for a page, and a quarter of the bytes
PATIENCE = 900_000  # milliseconds
QUIET = "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync"


def save(page: Page, name: str) -> None:
    page.wait_for_timeout(500)
    picture = Image.open(BytesIO(page.screenshot())).convert("RGB").quantize(COLOURS)
    file = ROOT / f"docs/pictures/{name}.png"
    picture.save(file, optimize=True)
    print(f"docs/pictures/{name}.png, {file.stat().st_size // 1000} KB")


def draw(address: str) -> None:
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET.split())
        page = browser.new_page(viewport={"width": 1280, "height": 720}, color_scheme="light")
        page.goto(address)
        page.fill("#question", QUESTION)
        page.keyboard.press("Enter")
        page.locator(".cost").wait_for(timeout=PATIENCE)
        page.locator("#source img[data-revealed]").wait_for(timeout=PATIENCE)
        save(page, "browser-answer")
        cookies = page.context.storage_state()
        phone = browser.new_page(
            viewport={"width": 390, "height": 720}, color_scheme="dark", device_scale_factor=2, storage_state=cookies
        )
        phone.goto(page.url.partition("?")[0])
        phone.click(".citation >> nth=0")
        phone.locator("#source img[data-revealed]").wait_for(timeout=PATIENCE)
        save(phone, "browser-phone")
        browser.close()


def main() -> None:
    models = load_settings().models_dir
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "models").symlink_to(models, target_is_directory=True)
        environment = {**os.environ, "LOCALRAG_HOME": home, "LOCALRAG_GENERATOR": MODEL}
        command = [sys.executable, "-m", "localrag"]
        ingest = [*command, "ingest", str(ROOT / "examples"), "--name", "examples"]
        subprocess.run(ingest, check=True, env=environment)
        serve = [*command, "serve", "examples", "--port", "0"]
        with subprocess.Popen(serve, stderr=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stderr is not None
            try:
                draw(next(line.split()[1] for line in process.stderr if "?code=" in line))
            finally:
                process.terminate()


if __name__ == "__main__":
    main()
