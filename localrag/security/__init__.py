"""What keeps documents private."""
