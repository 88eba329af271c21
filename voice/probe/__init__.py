"""Places real calls and says what is wrong with them. See README.md."""
