"""The command line: one file per command group; each prints and exits, and holds no logic of its own."""
