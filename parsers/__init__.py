"""What came out: VASP's files in, neutral data and physics out."""
