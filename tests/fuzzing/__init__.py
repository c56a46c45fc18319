"""Files of localrag's own, changed at random: a case is a number, and the same number makes the same file."""
