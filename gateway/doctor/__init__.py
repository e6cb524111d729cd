"""Examines databases for `gateway doctor`: what serving needs of them, each fault with the SQL that mends it."""
