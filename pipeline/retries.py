"""Steps that speak to a server are tried again inside of their run, where the fault may pass by itself."""

import dagster as dg

from pipeline.settings import Settings

WAIT = 10.0  # seconds before the second attempt; the connection itself has tried for half a minute by then


def passing_faults(settings: Settings) -> dg.RetryPolicy | None:
    """Return how often a step is tried again (automation.retries).

    What people have to put right is not: ``pipeline.metadata.for_people`` says which errors those are.
    """
    if not settings.automation.retries:
        return None
    return dg.RetryPolicy(
        max_retries=settings.automation.retries,
        delay=WAIT,
        backoff=dg.Backoff.EXPONENTIAL,
        jitter=dg.Jitter.PLUS_MINUS,  # several runs that failed together do not ask again together
    )
