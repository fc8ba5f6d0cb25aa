"""The sentences of a data card, shared by the Croissant file and the card for people. Each is made from the facts."""

from collections.abc import Mapping

from modeling.card_facts import UNKNOWN, CardFacts

YEAR = 330  # days from which the posts count as of a whole year
MOST_NAMED = 5  # values that a sentence names before it says how many more there are
MEASURE_NAMES = {
    "same_main": "same main label",
    "cohen_kappa": "Cohen's kappa of the main label",
    "krippendorff_alpha": "Krippendorff's alpha of the main label",
    "masi": "mean MASI similarity of all labels",
    "krippendorff_alpha_masi": "Krippendorff's alpha of all labels (MASI distance)",
}
STATUS_NAMES = {
    "agreed": "most annotators agree",
    "resolved_by_review": "settled by a reviewer",
    "unreviewed": "one answer, not reviewed",
    "conflict": "no agreement",
}
KIND_NAMES = {
    "post": "posts",
    "author": "authors",
    "image": "pictures",
    "look": "looks of pictures",
    "name": "names of pictures",
}


def description(facts: CardFacts) -> str:
    """Say in one sentence what the data set is."""
    return (
        f"{facts.images:,} unique pictures from social networks, each with the main style and further styles of its "
        "clothing as experts gave them: "
        f"the label set {facts.label_set} ({', '.join(facts.labels)})."
    )


def collection(facts: CardFacts) -> str:
    """Say how the pictures were collected."""
    origin, tags = facts.origin, facts.hashtags
    searched = f" under the hashtags {', '.join(f'#{tag}' for tag in tags)}" if tags else ""
    left_out = f"; the others: {named(facts.crawled.left_out)}" if facts.crawled.left_out else ""
    when = f" posted from {origin.first} to {origin.last}" if origin.first else ""
    return (
        f"Public posts with pictures{searched}{when}, fetched from the networks' own interfaces or read from archives, "
        f"in {len(origin.windows)} crawl windows. {facts.crawled.posts_kept:,} of {facts.crawled.posts_found:,} posts "
        f"of the windows were kept{left_out}."
    )


def opt_outs(facts: CardFacts) -> str:
    """Say how many asked to be left out."""
    asked = {f"{what}s, {outcome}": count for (what, outcome), count in facts.crawled.opt_outs.items()}
    return (
        "Signs by which people and servers ask to be left out (hashtags, profiles, robots.txt, X-Robots-Tag, TDM "
        f"reservation) are followed. Left out because of them: {named(asked) or 'nothing'}."
    )


def withdrawals(facts: CardFacts) -> str:
    """Say how many requests for removal there were, in the whole collection."""
    asked = facts.withdrawals
    if not asked.requests:
        return "Nobody has asked for a removal so far."
    waiting = f", of which {asked.waiting:,} not carried out yet" if asked.waiting else ""
    blocked = named({KIND_NAMES[kind]: count for kind, count in asked.blocked.items()})
    return f"Requests for removal so far: {asked.requests:,}{waiting}. They keep from being collected again: {blocked}."


def preprocessing() -> list[str]:
    """Say what is done to the collected pictures before they are labelled."""
    return [
        "Pictures are kept as their original bytes, named by the sha256 of their content.",
        "Near-duplicates are found by perceptual hashes and grey thumbnails over all windows; one picture of each "
        "cluster is kept.",
        "Near-duplicates and pictures of one author are never in two splits; an image keeps its split for ever.",
    ]


def annotation(facts: CardFacts) -> str:
    """Say how the labels came about."""
    work = facts.labelling
    who = "Annotators" if work.annotators is None else f"Annotators ({work.annotators})"
    return (
        f"{who} gave one main label and any number of sub labels to each picture with {work.tool}: "
        f"{work.answers:,} answers. Labels were settled by review first, then by the majority: "
        f"{named({STATUS_NAMES.get(key, key): count for key, count in work.statuses.items()})}."
    )


def agreement(facts: CardFacts) -> list[str]:
    """Return one sentence a measure of agreement."""
    lines = []
    for row in facts.labelling.agreement:
        interval = "" if row.low is None or row.high is None else f" (95% interval {row.low:.2f} to {row.high:.2f})"
        lines.append(f"{MEASURE_NAMES[row.measure]}: {row.value:.2f}{interval}, {row.images:,} images")
    return lines or ["Not known: no picture has the answers of two annotators."]


def biases(facts: CardFacts) -> list[str]:
    """Return the known biases, each with its numbers."""
    origin = facts.origin
    lines = [_label_bias(facts), f"Networks: {shares(facts, origin.networks)}."]
    lines.append(f"Languages that the posts say they are in: {shares(facts, origin.languages)}.")
    if origin.first and origin.last:
        season = " Other seasons are missing." if (origin.last - origin.first).days < YEAR else ""
        window, most = max(origin.windows.items(), key=lambda item: item[1])
        lines.append(
            f"Dates: posts from {origin.first} to {origin.last}; the largest window, {window}, has "
            f"{facts.share(most):.1%} of the images.{season}"
        )
    lines += [_author_bias(facts), _labelled_bias(facts), _sensitive_bias(facts)]
    if facts.hashtags:
        lines.append("Only what people tag themselves is found: who does not use these hashtags is not there.")
    return lines


def limitations(facts: CardFacts) -> list[str]:
    """Return what the data set should not be taken for."""
    kept = (
        "An image belongs to the set only when all its labels do, so mixtures with rarer styles are missing."
        if facts.membership == "all"
        else "Sub labels outside the label set are dropped."
    )
    return [
        kept,
        "It says what is posted under these hashtags, not what people wear.",
        "Styles are judgements: see the agreement between annotators before a figure is taken for the truth.",
        "It must not be used to find, name or judge persons, nor to infer gender, age, origin or belief.",
    ]


def personal(facts: CardFacts) -> list[str]:
    """Say what the data set holds about people."""
    ask = f" Whoever wants a picture removed asks {facts.by.contact}." if facts.by.contact else ""
    return [
        "The pictures show people, often recognizably. Their names, handles and addresses are not in the data set; "
        "a group number says which pictures must stay in one split, and may tell that they are by one author.",
        withdrawals(facts) + ask,
    ]


def maintenance(facts: CardFacts) -> str:
    """Say how the data set goes on."""
    return (
        "Made again as crawl windows are added and labels change; every version is named by the hash of its rows "
        f"(this one: {facts.version}). Removals are carried out in the data set and named in the cards of the models."
    )


def named(counts: Mapping[str, int]) -> str:
    """Return counts as ``12 sensitive, 3 no image``, the largest first; a long list is cut."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    parts = [f"{count:,} {name.replace('_', ' ')}" for name, count in ordered[:MOST_NAMED]]
    if rest := ordered[MOST_NAMED:]:
        parts.append(f"{sum(count for _, count in rest):,} for {len(rest)} other reasons")
    return ", ".join(parts)


def shares(facts: CardFacts, counts: Mapping[str, int]) -> str:
    """Return counts of images as ``mastodon 87.0%, flickr 13.0%``, the largest first; a long list is cut."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    parts = [f"{name} {facts.share(count):.1%}" for name, count in ordered[:MOST_NAMED]]
    if rest := ordered[MOST_NAMED:]:
        parts.append(f"{len(rest)} others {facts.share(sum(count for _, count in rest)):.1%}")
    return ", ".join(parts)


def _label_bias(facts: CardFacts) -> str:
    most = max(facts.label_rows, key=lambda row: row.main)
    least = min(facts.label_rows, key=lambda row: row.main)
    if most.main == least.main:
        return f"Labels: each is the main label of {facts.share(most.main):.1%} of the images."
    return (
        f"Labels: {most.label} is the main label of {facts.share(most.main):.1%} of the images, "
        f"{least.label} of {facts.share(least.main):.1%}."
    )


def _author_bias(facts: CardFacts) -> str:
    origin = facts.origin
    if not origin.authors:
        return "Authors: unknown, so pictures of one person may stand in two splits."
    unknown = f"; unknown for {facts.share(origin.without_author):.1%}" if origin.without_author else ""
    return (
        f"Authors: {origin.authors:,}; the most frequent one made {origin.largest_author:.1%} of the images{unknown}."
    )


def _labelled_bias(facts: CardFacts) -> str:
    work = facts.labelling
    labelled, unique = sum(work.labelled.values()), sum(work.unique.values())
    by_window = {key: work.labelled.get(key, 0) / count for key, count in work.unique.items() if count}
    spread = ""
    if len(set(by_window.values())) > 1:
        low, high = min(by_window, key=by_window.__getitem__), max(by_window, key=by_window.__getitem__)
        spread = f" (from {by_window[low]:.1%} of window {low} to {by_window[high]:.1%} of {high})"
    share = labelled / unique if unique else 0.0
    return f"Labelling: experts answered {labelled:,} of {unique:,} unique pictures, {share:.1%}{spread}."


def _sensitive_bias(facts: CardFacts) -> str:
    out, inside = facts.crawled.left_out.get("sensitive", 0), facts.origin.sensitive
    return (
        f"Sensitive content: {out:,} posts that their networks mark as sensitive were left out, "
        f"{inside:,} images of the data set come from such posts."
    )


def licence_lines(facts: CardFacts) -> list[str]:
    """Return the licences of the pictures with the number of images under each."""
    return [
        f"{name}: {count:,} images"
        if name != UNKNOWN
        else f"no licence given with the post: {count:,} images, all rights with their authors"
        for name, count in facts.origin.licences.items()
    ]
