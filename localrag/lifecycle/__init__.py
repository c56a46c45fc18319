"""Keep, encrypt, back up and delete libraries."""
