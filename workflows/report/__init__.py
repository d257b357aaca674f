"""What a scientist looks at: figures and one page."""
