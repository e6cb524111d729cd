"""The one read path: every SELECT as a pure function, and loaders that answer many keys with one statement."""
