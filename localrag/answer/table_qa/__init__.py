"""Calculations over figures that stand in the text: what is asked for, of which figures, and what they come to."""
