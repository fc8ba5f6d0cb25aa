"""The paper's own figures, to be shown beside a run's: another data set, so never a target to hit.

Source: "Recognition of multi-label fashion styles based on transfer learning and a graph convolution network" (2021),
16,685 labelled images of a social network, 2019-07-01 to 2019-08-31. Shares are 0 to 1. Architectures carry this
project's names: ``backbone`` is the paper's ResNet-50, ``ml_gcn`` its proposed model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

PAPER_IMAGES = 16_685


@dataclass(frozen=True)
class StyleFrequency:
    """One row of Table 2."""

    images: int  # images whose main label the style is
    main_share: float  # of all images, 0 to 1
    sub_share: float  # of all sub label occurrences, 0 to 1; as printed these add up to 100.9%


@dataclass(frozen=True)
class LabelRecall:
    """One row of Table 5: top-2 all-recall over the test images that carry the label."""

    backbone: float  # 0 to 1
    ml_gcn: float  # 0 to 1
    support: int  # test images that carry the label


TABLE_2: dict[str, StyleFrequency] = {
    "Casual": StyleFrequency(6048, 0.3625, 0.2964),
    "Romantic": StyleFrequency(1911, 0.1145, 0.1287),
    "Sexy": StyleFrequency(998, 0.0598, 0.0653),
    "Ethnic": StyleFrequency(972, 0.0583, 0.0573),
    "Elegant": StyleFrequency(956, 0.0573, 0.0869),
    "Natural": StyleFrequency(949, 0.0569, 0.0637),
    "Sporty": StyleFrequency(632, 0.0379, 0.0376),
    "Retro": StyleFrequency(562, 0.0337, 0.0446),
    "Classic": StyleFrequency(539, 0.0323, 0.0262),
    "Businesscasual": StyleFrequency(520, 0.0312, 0.0288),
    "Exotic": StyleFrequency(506, 0.0303, 0.0281),
    "Modern": StyleFrequency(486, 0.0291, 0.0402),
    "Sophisticated": StyleFrequency(368, 0.0221, 0.0253),
    "Glamorous": StyleFrequency(362, 0.0217, 0.0230),
    "Manish": StyleFrequency(202, 0.0121, 0.0117),
    "Hippie": StyleFrequency(157, 0.0094, 0.0096),
    "Gothpunkrocker": StyleFrequency(124, 0.0074, 0.0086),
    "Military": StyleFrequency(116, 0.0070, 0.0080),
    "Tomboy": StyleFrequency(87, 0.0052, 0.0047),
    "Kitschkidult": StyleFrequency(62, 0.0037, 0.0028),
    "Hiphop": StyleFrequency(48, 0.0029, 0.0015),
    "Grunge": StyleFrequency(41, 0.0025, 0.0057),
    "Preppy": StyleFrequency(39, 0.0023, 0.0043),
}

TABLE_3: dict[str, dict[str, float]] = {  # top-5 set
    "basic_cnn": {"any@1": 0.6385, "all@2": 0.6108, "any@2": 0.7998, "all@3": 0.7810, "any@3": 0.8949},
    "backbone": {"any@1": 0.8058, "all@2": 0.7910, "any@2": 0.9143, "all@3": 0.9082, "any@3": 0.9566},
    "ml_gcn": {"any@1": 0.8275, "all@2": 0.8361, "any@2": 0.9273, "all@3": 0.9234, "any@3": 0.9662},
}

TABLE_4: dict[str, dict[str, float]] = {  # top-7 set
    "basic_cnn": {"any@1": 0.5687, "all@2": 0.5439, "any@2": 0.7248, "all@3": 0.7189, "any@3": 0.8167},
    "backbone": {"any@1": 0.7419, "all@2": 0.7264, "any@2": 0.8668, "all@3": 0.8581, "any@3": 0.9266},
    "ml_gcn": {"any@1": 0.7783, "all@2": 0.7550, "any@2": 0.8922, "all@3": 0.8815, "any@3": 0.9484},
}

TABLE_5: dict[str, LabelRecall] = {  # top-5 set, all@2
    "Casual": LabelRecall(0.9464, 0.9506, 1023),
    "Romantic": LabelRecall(0.8053, 0.8667, 385),
    "Sexy": LabelRecall(0.8409, 0.8819, 310),
    "Elegant": LabelRecall(0.7326, 0.7789, 211),
    "Ethnic": LabelRecall(0.7523, 0.7692, 210),
}


def paper_recalls(labels: Sequence[str]) -> dict[str, dict[str, float]]:
    """Table 3 or Table 4, by the size of a label set of fashion styles: architecture, then metric, 0 to 1.

    Empty when the paper says nothing comparable: another number of labels, or labels that are not its styles.
    """
    if not all(label in TABLE_2 for label in labels):
        return {}
    return {5: TABLE_3, 7: TABLE_4}.get(len(labels), {})


def paper_label_recalls(labels: Sequence[str]) -> dict[str, LabelRecall]:
    """Table 5's rows for the labels of a top-5 set of fashion styles; empty for every other label set."""
    if len(labels) != 5 or not paper_recalls(labels):
        return {}
    return {label: TABLE_5[label] for label in labels if label in TABLE_5}
