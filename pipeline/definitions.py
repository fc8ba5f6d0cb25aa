"""What Dagster loads: the graph for the settings in force."""

import dagster as dg

from pipeline.graph import build_definitions
from pipeline.settings import load_settings

defs: dg.Definitions = build_definitions(load_settings())
