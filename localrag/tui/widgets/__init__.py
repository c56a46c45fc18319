"""The parts of screens; they post messages and know no screen."""
