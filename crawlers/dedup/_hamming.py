"""Popcount for compiled code. Imported on first use: numba takes half a second to load."""

from typing import Any

from numba.extending import intrinsic


def _popcount(typing_context: Any, value: Any) -> Any:
    """Count one-bits with the processor's own instruction (LLVM ctpop)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return value(value), generate


_ones: Any = intrinsic(_popcount)
