"""What scripts and tests know about the course itself: its lessons, its pages, its address."""
