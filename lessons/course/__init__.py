"""What scripts and tests need to know about the course as a whole; no notebook imports it."""
