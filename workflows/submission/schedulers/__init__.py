"""One adapter a scheduler."""
