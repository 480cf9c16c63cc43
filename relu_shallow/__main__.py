"""`python -m relu_shallow` is the command line."""

from relu_shallow.cli import main

if __name__ == "__main__":
    main()
