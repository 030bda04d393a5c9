"""Records compared on the same test pictures."""
