"""`python -m burstfix` is `burstfix`."""

from burstfix.cli.app import main

if __name__ == "__main__":
    main()
