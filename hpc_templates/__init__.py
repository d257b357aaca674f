"""Job scripts, one a scheduler (jinja2). A user overrides one by a file of the same name."""
