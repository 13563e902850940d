"""The pictures, a file a notebook: what the theory gives, arranged to be seen."""
