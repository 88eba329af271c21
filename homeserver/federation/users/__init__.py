"""What servers tell each other about users."""
