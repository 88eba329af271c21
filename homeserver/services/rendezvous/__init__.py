"""Where two devices of one person meet before one of them is signed in."""
