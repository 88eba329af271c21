"""All that one user has said is redacted."""
