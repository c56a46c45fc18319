"""Calculate with figures and dates of the text, each cited."""
