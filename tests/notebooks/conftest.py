"""The app and a browser for these tests."""

from visiting import app, chromium, playwright, visit

__all__ = ["app", "chromium", "playwright", "visit"]
