"""A cluster that schedules containers."""
