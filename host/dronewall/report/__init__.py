"""A Coverage for people: terminal, picture, page."""
