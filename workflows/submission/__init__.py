"""From ready calculations to a scheduler."""
