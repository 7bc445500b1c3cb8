"""Training at scale: one loop for a laptop, a GPU and many processes."""
