"""The commands of the command line, one module each: `add` declares a command, `run` does it."""
