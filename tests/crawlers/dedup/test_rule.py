import pytest
from pydantic import ValidationError

from crawlers.dedup import DedupRule


def test_every_limit_has_a_description_and_is_in_the_version() -> None:
    for name, field in DedupRule.model_fields.items():
        assert field.description
        other = DedupRule(**{name: {"structure_limit": 0.95}.get(name, getattr(DedupRule(), name) + 1)})
        assert other.version != DedupRule().version
    assert DedupRule().version == "stars-2 candidates=10 duplicate=32 review=64 structure=0.87 chroma=12"


@pytest.mark.parametrize(
    "limits",
    [
        {"candidate_bits": -1},
        {"candidate_bits": 17},
        {"duplicate_bits": 65},
        {"review_bits": 97},
        {"structure_limit": 0.4},
        {"structure_limit": 1.1},
        {"chroma_limit": -1},
    ],
)
def test_limits_out_of_range_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(limits))):
        DedupRule(**limits)  # type: ignore[arg-type]
