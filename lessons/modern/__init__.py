"""Plumbing · the parts of today's GPTs, and the model that they make."""
