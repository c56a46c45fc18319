"""Documents and models for the screen: in this process, or in a worker process."""
