"""What stands between clients and servers."""
