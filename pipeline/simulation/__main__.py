"""``python -m pipeline.simulation``: a simulated year, and what was planted in it beside what was found."""

import sys

from pipeline.simulation.command import main

sys.exit(main())
