"""One module a command of `run.py`, each with a function ``main(args)``."""
