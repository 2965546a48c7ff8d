"""`python -m comictool` is the same as `comictool`."""

from comictool.cli.app import main

if __name__ == "__main__":
    main()
