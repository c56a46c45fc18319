"""Calculate with figures of the text, each cited."""
