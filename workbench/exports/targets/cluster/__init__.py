"""One engine on several machines."""
