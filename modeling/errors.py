"""The one exception of this package."""


class ModelingError(ValueError):
    """Something in the input or the settings has to be put right by a person.

    The message is one line that names the row, label, file or setting, and says what to do.
    """
