"""From results to answers: agreement and ranking."""
