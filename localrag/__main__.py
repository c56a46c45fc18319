"""`python -m localrag` is `localrag`."""

from localrag.cli import main

if __name__ == "__main__":
    main()
