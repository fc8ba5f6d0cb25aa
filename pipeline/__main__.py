"""``python -m pipeline`` is the command ``stylegraph``."""

from pipeline.launcher import main

if __name__ == "__main__":
    main()
