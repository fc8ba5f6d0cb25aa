"""Which settings of backbone and training do not go together. Loads without torch."""

from modeling.architectures import Architecture
from modeling.schedule import deepest
from modeling.training_settings import BackboneSettings, TrainingSettings


def training_problem(form: Architecture, backbone: BackboneSettings, training: TrainingSettings) -> str | None:
    """Say in one line why an architecture can't be trained with these settings, and what to do; None where it can.

    ``train`` refuses what this names. Settings files are asked when they are read, before anything is computed.
    """
    if form.image_branch != "backbone":
        return None  # it trains a network of its own from scratch, whatever the backbone is
    if backbone.weights == "none":
        return _of_random_weights(form, training)
    return _of_frozen_blocks(form, backbone, training)


def _of_random_weights(form: Architecture, training: TrainingSettings) -> str | None:
    if form.frozen:
        return (
            f'{form.name} never trains the backbone, and with backbone.weights "none" that is a random one: '
            f"give backbone.weights, or leave {form.name} out"
        )
    if training.batch_norm == "frozen":
        return (
            'training.batch_norm "frozen" keeps the statistics that the weights came with, and with backbone.weights '
            '"none" there are none: set it to "update", or give backbone.weights'
        )
    if any(stage.trainable != "all" for stage in training.stages):
        return (
            'training.stages: with backbone.weights "none" the backbone has to be trained: let every stage train '
            '"all", or give backbone.weights'
        )
    return None


def _of_frozen_blocks(form: Architecture, backbone: BackboneSettings, training: TrainingSettings) -> str | None:
    """Changes of pictures that would be left out without a word.

    A linear probe may leave them out: it stands in one run with architectures that train blocks, and that need them.
    """
    changed = any((training.zoom, training.shift, training.color, training.erase))
    trained = deepest(training.stages) if training.stages else backbone.trainable
    if form.frozen or not changed or training.views > 1 or trained == "all":
        return None
    remedy = 'let a stage of training.stages train "all"' if training.stages else 'set backbone.trainable to "all"'
    return (
        "training.views is 1: zoom, shift, color and erase do nothing over frozen blocks; raise training.views, "
        f"or {remedy}"
    )
