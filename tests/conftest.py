"""The app and a browser, once for all tests: Playwright's loop cannot be started twice in a thread."""

from visiting import app, chromium, playwright, visit

__all__ = ["app", "chromium", "playwright", "visit"]
