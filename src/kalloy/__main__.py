"""``python -m kalloy``."""

from kalloy.cli import main

if __name__ == "__main__":
    main()
