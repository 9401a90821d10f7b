from pathlib import Path
from typing import Any

import pytest

from burstfix.errors import UsageError
from burstfix.io.write import format_for


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("A.PNG", ("png", 16)),
        ("a.tif", ("tiff", 16)),
        ("a.TIFF", ("tiff", 16)),
        ("a.b.Jpeg", ("jpeg", 8)),
        ("a.webp", ("webp", 8)),
    ],
)
def test_the_extension_chooses_the_format(name: str, expected: tuple[str, int]) -> None:
    kind = format_for(Path(name))
    assert (kind.container, kind.bit_depth) == expected


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a", {}),
        ("a.bmp", {}),
        ("a.jpg", {"bit_depth": 16}),
        ("a.png", {"bit_depth": 32}),
        ("a.png", {"bit_depth": 12}),
        ("a.webp", {"bit_depth": 16}),
        ("a.png", {"linear": True}),
        ("a.tif", {"linear": True, "bit_depth": 8}),
        ("a.jpg", {"quality": 0}),
        ("a.jpg", {"quality": 101}),
    ],
)
def test_impossible_formats_are_usage_errors_with_a_mend(
    name: str, options: dict[str, Any]
) -> None:
    with pytest.raises(UsageError) as caught:
        format_for(Path(name), **options)
    assert caught.value.mend
