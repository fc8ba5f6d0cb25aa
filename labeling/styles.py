"""The default taxonomy: 23 fashion styles, most frequent first, spelled as in the published table."""

from types import MappingProxyType

from labeling.taxonomy import Taxonomy

_STYLES = {
    "Casual": "Everyday clothes for comfort: T-shirts, jeans, sneakers, easy layers.",
    "Romantic": "Soft and feminine: lace, ruffles, flowers, pale colours, flowing lines.",
    "Sexy": "Shows or follows the body: low necklines, slits, tight or sheer fabrics.",
    "Ethnic": "Traditional dress of a people or region: folk patterns, embroidery, natural dyes.",
    "Elegant": "Refined and graceful: fine fabrics, long clean lines, restrained colours.",
    "Natural": "Relaxed and close to nature: linen, cotton, earth colours, loose cuts.",
    "Sporty": "From sport and the gym: track suits, jerseys, leggings, trainers.",
    "Retro": "Clearly of a past decade: its cuts, prints and accessories.",
    "Classic": "Timeless and tailored: trench coats, plain suits, checks, neutral colours.",
    "Businesscasual": "For the office without a full suit: blazers, shirts, tidy trousers or skirts.",
    "Exotic": "Takes up far-away places: tropical prints, unusual ornaments, rich colours.",
    "Modern": "Plain and of today: geometric cuts, few details, black, white and grey.",
    "Sophisticated": "Polished city look: structured shapes, quality accessories, nothing by chance.",
    "Glamorous": "Made to shine: sequins, satin, fur, bold jewellery, evening wear.",
    "Manish": "Women's wear after men's tailoring: suits, ties, broad shoulders, straight lines.",
    "Hippie": "Free spirit of the late sixties: fringes, tie-dye, flared trousers, beads.",
    "Gothpunkrocker": "Dark and rebellious: black leather, studs, chains, torn or band clothes.",
    "Military": "After uniforms: khaki, camouflage, epaulettes, cargo pockets, boots.",
    "Tomboy": "Boyish and young: loose shirts, caps, overalls, sneakers.",
    "Kitschkidult": "Playful on purpose: toys, cartoons, loud colours, childlike details on adults.",
    "Hiphop": "From hip-hop culture: oversized cuts, caps, logos, chains, high-tops.",
    "Grunge": "Worn and careless: flannel shirts, ripped denim, faded layers.",
    "Preppy": "After school uniforms: pleated skirts, crests, polo shirts, argyle, loafers.",
}

FASHION_STYLES = Taxonomy(tuple(_STYLES), MappingProxyType(_STYLES))
