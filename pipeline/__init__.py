"""The lineage graph: Dagster assets over crawlers, labeling and modeling, with settings, storage, demo and report."""
