"""What computes the claims: a file a subject, found by the registry."""
