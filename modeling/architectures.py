"""The architectures that can be trained, by name. Loads without torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """What distinguishes one architecture: its image branch, its pooling and its head."""

    name: str
    title: str  # for tables and plots
    description: str  # one line for people
    head: str = "linear"  # module of modeling.networks that builds it
    pooling: str = "average"  # average, max, graph (as the graph settings say), or none: the head gets the feature map
    image_branch: str = "backbone"  # backbone: the one in the settings; else the name of a backbone
    frozen: bool = False  # train the head only

    @property
    def takes_map(self) -> bool:
        """Does the head get the feature map (N, D, h, w), and not pooled features (N, D)?"""
        return self.pooling == "none"


_ALL = (
    Architecture(
        "basic_cnn",
        "Basic CNN",
        "Convolution, max pooling and fully connected layers, trained from scratch.",
        image_branch="basic_cnn",
    ),
    Architecture("backbone", "Backbone", "Backbone with global average pooling and a linear head."),
    Architecture(
        "backbone_max",
        "Backbone, max pooling",
        "Backbone with global max pooling and a linear head: ML-GCN's image branch without the graph.",
        pooling="max",
    ),
    Architecture(
        "ml_gcn",
        "ML-GCN",
        "Backbone with classifiers that two graph convolutions make from the labels' word vectors.",
        head="ml_gcn",
        pooling="graph",
    ),
    Architecture(
        "csra",
        "CSRA",
        "Backbone with class-specific residual attention: average pooling plus attention of each label.",
        head="csra",
        pooling="none",
    ),
    Architecture(
        "linear_probe",
        "Linear probe",
        "Frozen backbone with global average pooling; only a linear head is trained.",
        frozen=True,
    ),
)
ARCHITECTURES: dict[str, Architecture] = {item.name: item for item in _ALL}


def display_title(architecture: str, backbone: str) -> str:
    """The title of an architecture with the name of its backbone in it, e.g. ``ResNet-50, max pooling``."""
    title = ARCHITECTURES[architecture].title
    return title.replace("Backbone", _display_name(backbone), 1)


def _display_name(backbone: str) -> str:
    """A torchvision name as people write it: ``resnet50`` is ResNet-50, ``mobilenet_v2`` is MobileNetV2."""
    family, separator, size = backbone.partition("resnet")
    if separator and not family and size.isdigit():
        return f"ResNet-{size}"
    if backbone.startswith("mobilenet_v"):
        return "MobileNetV" + backbone.removeprefix("mobilenet_v").replace("_", " ")
    return backbone
