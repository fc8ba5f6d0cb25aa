"""A simulated year: the whole graph run by its own schedules and sensors, with time and events set by a plan."""
