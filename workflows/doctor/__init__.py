"""What is installed, configured and reachable; each failure with its mend. Nothing is changed by looking."""
