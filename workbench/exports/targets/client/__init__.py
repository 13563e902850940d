"""Who asks the server."""
