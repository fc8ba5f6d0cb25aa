"""The rule that tells a duplicate, a pair for people to look at, and two distinct pictures apart."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

HASH_BITS = 256


class DedupRule(BaseModel):
    """Limits of near-duplicate removal, on the 256-bit perceptual hash, on colour and on structure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidate_bits: int = Field(
        default=10,
        ge=0,
        le=16,
        description="Bits of 64 up to which a pair is looked at in large collections. Of the copies of 200 photos that "
        "the other limits find, 10 loses 0.3%, 8 loses 1.3% and 12 nearly none; each 2 more take about four times the "
        "time.",
    )
    duplicate_bits: int = Field(
        default=32, ge=0, le=64, description="Bits of 256 up to which a pair is a duplicate and one image is set aside."
    )
    review_bits: int = Field(
        default=64, ge=0, le=96, description="Bits of 256 up to which a pair is listed for people to look at."
    )
    structure_limit: float = Field(
        default=0.87,
        ge=0.5,
        le=1,
        description="Agreement of the grey thumbnails from which a pair above duplicate_bits is a duplicate too: a "
        "small crop or a turn by a degree or two. 1 leaves all of them for review.",
    )
    chroma_limit: float = Field(
        default=12.0,
        ge=0,
        le=255,
        description="Levels by which the colours of a duplicate may differ, in the eighth of the picture where they "
        "differ most; above, the pair is for review.",
    )

    @model_validator(mode="after")
    def _bands_in_order(self) -> "DedupRule":
        if self.review_bits < self.duplicate_bits:
            raise ValueError(
                f"review_bits ({self.review_bits}) must not be below duplicate_bits ({self.duplicate_bits})"
            )
        return self

    @property
    def version(self) -> str:
        """Name of the procedure with its limits, kept beside every decision."""
        return (
            f"stars-2 candidates={self.candidate_bits} duplicate={self.duplicate_bits} review={self.review_bits} "
            f"structure={self.structure_limit:g} chroma={self.chroma_limit:g}"
        )
