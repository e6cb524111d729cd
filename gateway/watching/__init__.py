"""What changed in an organization, told to whoever watches: one look a second, however many watch."""
