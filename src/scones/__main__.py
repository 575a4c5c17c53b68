"""`python -m scones`."""

from scones.cli import main

if __name__ == "__main__":
    main()
