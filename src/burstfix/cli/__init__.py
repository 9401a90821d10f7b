"""The command line; torch is imported inside functions only, so that --help is quick."""
