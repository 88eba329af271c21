"""A participant without a person: plays a file into a call, or records who talks. An example, and a tool of tests."""
