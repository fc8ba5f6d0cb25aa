"""The one exception of this package."""


class LabelingError(ValueError):
    """An input that cannot be used as a whole; the message is one line that says what to do."""
