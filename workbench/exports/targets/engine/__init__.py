"""An engine's own words: lines, files, Python."""
