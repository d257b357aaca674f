"""What the engine writes: VASP's files, each grown step by step."""
