"""What a question asks, read once: its kind, what is looked up, and what code does with it."""
