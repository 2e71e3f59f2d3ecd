"""A browser without a network, for the tests of pages."""

import contextlib

from servers import missing, require


@contextlib.contextmanager
def browser_page(width=1500, height=1000, **options):
    """A page of a browser without a network, and what it complained of."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        missing("playwright is missing: pip install playwright")
    program = require("chromium", "chromium")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    complaints = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=quiet)
        context = browser.new_context(offline=True, viewport={"width": width, "height": height}, **options)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page, complaints
        browser.close()
