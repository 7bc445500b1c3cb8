"""What scripts and tests need to know of the course as a whole; no notebook imports it."""
