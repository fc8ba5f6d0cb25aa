"""From labels to a measured model: data sets, the label graph, networks, training and evaluation.

The modules, in the order of the work. None of them knows the orchestrator; only those marked with * import torch, so
the others load at once.

============================ =========================================================================
``label_sets``, ``splits``   label frequencies, the images of a label set, group-safe splits
``word_vectors``             node features of the label graph
``correlation``              co-occurrence counts, correlation matrix, adjacency
``networks``, ``train`` *    the architectures and their training
``predict`` *                labels with probabilities for images
``metrics``, ``evaluate``    recalls and average precision, intervals, paired tests between architectures
``suspicious``               labels that are most likely wrong, by models that never saw the image
============================ =========================================================================

Everything that a person has to put right is raised as :class:`ModelingError`.
"""

from modeling.errors import ModelingError

__all__ = ["ModelingError"]
