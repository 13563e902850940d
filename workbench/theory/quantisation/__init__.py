"""Numbers in fewer bits: how they are rounded, what is lost, and how less is lost."""
