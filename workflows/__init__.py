"""From structures to results: campaigns, inputs, submission, execution, screening, report."""
