"""The rule that tells a duplicate, a pair for people to look at, and two distinct pictures apart."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

HASH_BITS = 256


class DedupRule(BaseModel):
    """Limits of near-duplicate removal, on the 256-bit perceptual hash and on colour."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    duplicate_bits: int = Field(
        default=32, ge=0, le=64, description="Bits of 256 up to which a pair is a duplicate and one image is set aside."
    )
    review_bits: int = Field(
        default=56, ge=0, le=96, description="Bits of 256 up to which a pair is listed for people to look at."
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
        return f"stars-1 duplicate={self.duplicate_bits} review={self.review_bits} chroma={self.chroma_limit:g}"
