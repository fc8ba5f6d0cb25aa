"""A data set as a Croissant file: JSON-LD that machine learning tools load, with its responsible-AI fields.

Sources: Croissant format 1.1 (http://mlcommons.org/croissant/1.1) and its RAI extension
(http://mlcommons.org/croissant/RAI/1.0). Paths in the file are relative to where it stands: the data location.
"""

import warnings
from typing import Any

from modeling import card_text
from modeling.card_facts import UNKNOWN, CardFacts

CONFORMS_TO = ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]
CONTEXT: dict[str, Any] = {  # the context that the specification gives, appendix 1
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    "conformsTo": "dct:conformsTo",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "containedIn": "cr:containedIn",
    "equivalentProperty": "cr:equivalentProperty",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
TABLE, PICTURES = "data_set", "picture_files"  # ids of the two resources
IMAGES, LABELLED_PICTURES, LABELS, SPLITS = "images", "pictures", "labels", "splits"  # ids of the record sets
COLUMNS = {  # of DATA_SET: type and meaning
    "image_id": ("sc:Text", "sha256 of the bytes of the picture that stands for its near-duplicates"),
    "file_id": ("sc:Text", "sha256 of the bytes of the file to use, the best of the near-duplicates; its name"),
    "window": ("sc:Text", "first day of the crawl window that it was first seen in"),
    "group_id": ("sc:Text", "images of one group are never in two splits"),
    "main": ("sc:Text", "main style"),
    "subs": ("sc:Text", "further styles, of the label set"),
    "split": ("cr:Split", "train, validation or test"),
}


def croissant(facts: CardFacts) -> dict[str, Any]:
    """Return the Croissant file of a data set as JSON-LD, without anything that names a person."""
    document: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": f"{facts.title}: {facts.label_set}",
        "description": " ".join([card_text.description(facts), *facts.notices]),
        "version": f"1.0.0+{facts.version[:12]}",
        "datePublished": facts.made.isoformat(),
        "keywords": ["fashion style", "multi-label image classification", *facts.labels],
        "citeAs": _citation(facts),
        "license": _licences(facts),
        "distribution": _distribution(facts),
        "recordSet": [_images(), _pictures(), _enumeration(LABELS, facts.labels), _splits()],
        **_responsible(facts),
    }
    languages = [name for name in facts.origin.languages if name != UNKNOWN]
    if languages:
        document["inLanguage"] = languages
    if facts.by.url:
        document["url"] = facts.by.url
    if facts.by.creator:
        document["creator"] = {"@type": "sc:Organization", "name": facts.by.creator}
    return document


def find_problems(document: dict[str, Any]) -> list[str] | None:
    """Return what ``mlcroissant``, the format's own library, finds wrong; None where it is not installed."""
    try:
        import mlcroissant
    except ImportError:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of rdflib about itself
        try:
            mlcroissant.Dataset(document)
        except mlcroissant.ValidationError as error:
            return [line.strip(" -") for line in str(error).splitlines()[1:] if line.strip()]
    return []


def _citation(facts: CardFacts) -> str:
    """Say how to name this very version of the data set."""
    by = f"{facts.by.creator}: " if facts.by.creator else ""
    return f"{by}{facts.title}, label set {facts.label_set}, version {facts.version[:12]} of {facts.made.isoformat()}"


def _licences(facts: CardFacts) -> list[Any]:
    of_pictures = {
        "@type": "sc:CreativeWork",
        "name": "Licences of the pictures",
        "description": "; ".join(card_text.licence_lines(facts)),
    }
    return [facts.by.license, of_pictures] if facts.by.license else [of_pictures]


def _distribution(facts: CardFacts) -> list[dict[str, Any]]:
    return [
        {
            "@type": "cr:FileObject",
            "@id": TABLE,
            "name": facts.table.path.rpartition("/")[2],
            "description": "One row an image: its labels and its split.",
            "contentUrl": facts.table.path,
            "contentSize": f"{facts.table.size} B",
            "encodingFormat": "application/x-parquet",
            "sha256": facts.table.sha256,
        },
        {
            "@type": "cr:FileSet",
            "@id": PICTURES,
            "name": "pictures",
            "description": "The pictures as they were posted. A file's name is the sha256 of its content.",
            "encodingFormat": ["image/jpeg", "image/png", "image/webp", "image/gif"],
            "includes": "images/*/*",
        },
    ]


def _images() -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": IMAGES,
        "name": IMAGES,
        "description": "The images of the data set with their labels and splits.",
        "key": {"@id": f"{IMAGES}/image_id"},
        "field": [_column(IMAGES, name) for name in COLUMNS],
    }


def _pictures() -> dict[str, Any]:
    """The record set that has the pictures too: the table joined with the files by their names."""
    file_id = _column(LABELLED_PICTURES, "file_id")
    file_id["references"] = {"fileSet": {"@id": PICTURES}, "extract": {"fileProperty": "filename"}}
    content = {
        "@type": "cr:Field",
        "@id": f"{LABELLED_PICTURES}/content",
        "name": "content",
        "description": "the picture",
        "dataType": "sc:ImageObject",
        "source": {"fileSet": {"@id": PICTURES}, "extract": {"fileProperty": "content"}},
    }
    return {
        "@type": "cr:RecordSet",
        "@id": LABELLED_PICTURES,
        "name": LABELLED_PICTURES,
        "description": "The images with their pictures.",
        "key": {"@id": f"{LABELLED_PICTURES}/file_id"},
        "field": [file_id, *(_column(LABELLED_PICTURES, name) for name in ("main", "subs", "split")), content],
    }


def _column(record_set: str, name: str) -> dict[str, Any]:
    kind, meaning = COLUMNS[name]
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{record_set}/{name}",
        "name": name,
        "description": meaning,
        "dataType": ["sc:Text", kind] if kind == "cr:Split" else kind,
        "source": {"fileObject": {"@id": TABLE}, "extract": {"column": name}},
    }
    return field | ({"isArray": True, "arrayShape": "-1"} if name == "subs" else {})


def _enumeration(record_set: str, values: Any) -> dict[str, Any]:
    key = f"{record_set}/name"
    return {
        "@type": "cr:RecordSet",
        "@id": record_set,
        "name": record_set,
        "dataType": "sc:Enumeration",
        "key": {"@id": key},
        "field": [{"@type": "cr:Field", "@id": key, "name": "name", "dataType": "sc:Text"}],
        "data": [{key: value} for value in values],
    }


def _splits() -> dict[str, Any]:
    splits = _enumeration(SPLITS, ("train", "validation", "test"))
    return splits | {"dataType": "cr:Split"}


def _responsible(facts: CardFacts) -> dict[str, Any]:
    """The fields of the RAI extension."""
    archive = set(facts.origin.networks) <= {"archive"}
    fields: dict[str, Any] = {
        "dataCollection": f"{card_text.collection(facts)} {card_text.opt_outs(facts)}",
        "dataCollectionType": ["Secondary Data analysis"] if archive else ["Web API", "User-generated content data"],
        "dataCollectionMissingData": "A post may have no language, licence or author; pictures that were deleted "
        "before a window was crawled are missing.",
        "dataCollectionRawData": "Pictures as posted, and of each post its date, hashtags and licence.",
        "dataPreprocessingProtocol": card_text.preprocessing(),
        "dataManipulationProtocol": "None: pictures are not changed, and no label is imputed.",
        "dataAnnotationProtocol": card_text.annotation(facts),
        "dataAnnotationPlatform": [facts.labelling.tool],
        "dataAnnotationAnalysis": card_text.agreement(facts),
        "annotationsPerItem": f"{facts.labelling.answers_per_image:.2f} answers a picture in the mean",
        "annotatorDemographics": ["Not recorded."],
        "dataBiases": card_text.biases(facts),
        "dataLimitations": card_text.limitations(facts),
        "dataUseCases": ["Training, validation and test of models that name the styles of clothing in a picture."],
        "dataSocialImpact": "Figures about styles can favour what is photographed and tagged most; they say nothing "
        "about the persons in the pictures.",
        "personalSensitiveInformation": card_text.personal(facts),
        "dataReleaseMaintenancePlan": card_text.maintenance(facts),
    }
    if facts.origin.first and facts.origin.last:
        fields["dataCollectionTimeframe"] = [facts.origin.first.isoformat(), facts.origin.last.isoformat()]
    return {f"rai:{name}": value for name, value in fields.items()}
