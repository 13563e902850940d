"""Attention without ever holding its whole matrix."""
