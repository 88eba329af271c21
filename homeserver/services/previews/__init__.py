"""What links lead to: previews of web pages for those who read about them."""
