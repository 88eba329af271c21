"""What is known of kinds of identity providers."""
