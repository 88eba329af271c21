"""People in browsers: who is signed in, and what they came for."""
