"""The default taxonomy: 23 fashion styles, most frequent first, spelled as in the published table; and in Korean."""

from types import MappingProxyType
from typing import Literal, NamedTuple

from labeling.taxonomy import Taxonomy

Language = Literal["en", "ko"]

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


class ShownStyle(NamedTuple):
    """How experts get to read a label."""

    name: str
    line: str  # for the style guide; "" where there is none


_KOREAN = {
    "Casual": ShownStyle("캐주얼", "티셔츠, 청바지, 스니커즈처럼 편하게 입는 일상복."),
    "Romantic": ShownStyle("로맨틱", "레이스, 러플, 꽃무늬, 파스텔 색과 흐르는 선의 부드럽고 여성스러운 차림."),
    "Sexy": ShownStyle("섹시", "깊은 네크라인, 슬릿, 밀착되거나 비치는 소재로 몸을 드러내는 차림."),
    "Ethnic": ShownStyle("에스닉", "민속 문양, 자수, 천연 염색 등 특정 민족이나 지역의 전통 복식을 살린 차림."),
    "Elegant": ShownStyle("엘레강스", "고급 소재와 길고 매끄러운 선, 절제된 색의 우아하고 품위 있는 차림."),
    "Natural": ShownStyle("내추럴", "리넨과 면, 흙빛 색, 여유 있는 품의 꾸밈없고 자연스러운 차림."),
    "Sporty": ShownStyle("스포티", "트레이닝복, 저지, 레깅스, 운동화 등 스포츠웨어를 응용한 차림."),
    "Retro": ShownStyle("레트로", "지난 시대의 실루엣, 무늬, 소품이 뚜렷하게 살아 있는 복고풍 차림."),
    "Classic": ShownStyle("클래식", "트렌치코트, 단정한 수트, 체크, 무채색 등 유행을 타지 않는 정통 차림."),
    "Businesscasual": ShownStyle("비즈니스 캐주얼", "재킷, 셔츠, 슬랙스나 단정한 스커트로 정장보다 가벼운 출근 차림."),
    "Exotic": ShownStyle("이그조틱", "열대풍 무늬, 낯선 장식, 강렬한 색으로 먼 나라의 이국적인 분위기를 낸 차림."),
    "Modern": ShownStyle("모던", "기하학적 재단, 적은 장식, 검정·흰색·회색 위주의 간결하고 현대적인 차림."),
    "Sophisticated": ShownStyle("소피스티케이티드", "구조적인 실루엣과 좋은 소품으로 빈틈없이 세련된 도시풍 차림."),
    "Glamorous": ShownStyle("글래머러스", "시퀸, 새틴, 퍼, 대담한 주얼리, 이브닝웨어 등 화려하게 빛나는 차림."),
    "Manish": ShownStyle("매니시", "수트, 넥타이, 넓은 어깨, 직선 등 남성복의 재단을 가져온 여성복 차림."),
    "Hippie": ShownStyle("히피", "프린지, 타이다이, 나팔바지, 비즈 등 1960년대 말의 자유로운 차림."),
    "Gothpunkrocker": ShownStyle("고스·펑크·로커", "검은 가죽, 스터드, 체인, 밴드 티셔츠의 어둡고 반항적인 차림."),
    "Military": ShownStyle("밀리터리", "카키, 카무플라주, 견장, 카고 포켓, 부츠 등 군복에서 따온 차림."),
    "Tomboy": ShownStyle("톰보이", "헐렁한 셔츠, 캡, 오버올, 스니커즈로 소년처럼 입은 차림."),
    "Kitschkidult": ShownStyle("키치·키덜트", "장난감, 만화, 튀는 색 등 아이 같은 요소를 일부러 쓴 유쾌한 차림."),
    "Hiphop": ShownStyle("힙합", "오버사이즈, 캡, 로고, 체인, 하이톱 등 힙합 문화에서 온 차림."),
    "Grunge": ShownStyle("그런지", "플란넬 셔츠, 찢어진 데님, 빛바랜 옷을 겹쳐 낡고 무심하게 입은 차림."),
    "Preppy": ShownStyle("프레피", "플리츠스커트, 문장, 폴로셔츠, 아가일, 로퍼 등 사립학교 교복풍 차림."),
}


def shown_style(label: str, taxonomy: Taxonomy, language: Language) -> ShownStyle:
    """Return name and line of a label in a language; a label that has no Korean name is shown as it is."""
    if language == "ko" and label in _KOREAN:
        return _KOREAN[label]
    return ShownStyle(label, taxonomy.descriptions.get(label, ""))
