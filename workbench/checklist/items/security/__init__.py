"""Who may ask, how much, and what must not come in or go out."""

#: In which they are shown.
ORDER = ("input_filter", "output_filter", "rate_limit", "authentication", "privacy")
