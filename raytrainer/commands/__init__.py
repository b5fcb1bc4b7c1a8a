"""The verbs of the command line, one file each: `parser()` says what may be given, `run(args)` does it."""
