"""Checks of inputs before anything is submitted: tags, k-points, datasets, agreement of the members, disk."""
