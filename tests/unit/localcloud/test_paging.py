"""Pages of lists: their size, and markers that only a page gives out."""

import base64

import pytest

from localcloud import paging

HAND_MADE = [
    *("nonsense", "", "7", "WzFd=", "ü", "*" * 5000),
    *(
        base64.b64encode(text.encode()).decode()
        for text in (
            *('"text"', "1", "null", "{}", "[]", "[null]", "[true]", "[1.0]", "[[]]", "[ 1]"),
            *("[1, 2]", "[true, true]", '[1, "arn"]', '["arn", 1.5]', "[[], {}]", "[NaN]"),
            *('[NaN, "arn"]', '[1e999, "arn"]', '[Infinity, "arn"]', '[1.50, "arn"]'),
            *('[1.5, "\\ud800"]', "[1.5, null]", '[1.5, "arn", "arn"]', "[" * 900, "[" * 100_000),
        )
    ),
]


@pytest.mark.parametrize(
    ("given", "size"), [({}, 100), ({"MaxItems": 0}, 100), ({"MaxItems": 7}, 7)]
)
def test_a_page_has_as_many_as_asked_for_or_the_default(given: dict[str, int], size: int) -> None:
    assert paging.size(given) == size


def test_a_marker_tells_where_the_page_before_ended() -> None:
    marker = paging.next_marker([1.5, "arn"])["NextMarker"]
    assert paging.read_marker(marker, float, str) == [1.5, "arn"]
    assert paging.read_marker(None, float, str) is None
    assert paging.next_marker(None) == {}


@pytest.mark.parametrize("kinds", [(int,), (float, str)])
@pytest.mark.parametrize("marker", HAND_MADE)
def test_a_marker_that_no_page_gave_out_is_refused(marker: str, kinds: tuple[type, ...]) -> None:
    with pytest.raises(paging.MarkerError, match="is not a NextMarker"):
        paging.read_marker(marker, *kinds)
