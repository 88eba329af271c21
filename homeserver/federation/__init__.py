"""What this server says to other servers, and how it knows that a request is theirs."""
