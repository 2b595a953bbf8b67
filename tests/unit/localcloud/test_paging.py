"""Pages of lists: their size, and markers that only a page gives out."""

import base64

import pytest

from localcloud import paging


@pytest.mark.parametrize(
    ("given", "size"), [({}, 100), ({"MaxItems": 0}, 100), ({"MaxItems": 7}, 7)]
)
def test_a_page_has_as_many_as_asked_for_or_the_default(given: dict[str, int], size: int) -> None:
    assert paging.size(given) == size


def test_a_marker_tells_where_the_page_before_ended() -> None:
    marker = paging.next_marker([1.5, "arn"])["NextMarker"]
    assert paging.read_marker(marker, list) == [1.5, "arn"]
    assert paging.read_marker(None, list) is None
    assert paging.next_marker(None) == {}


@pytest.mark.parametrize("marker", ["nonsense", "", base64.b64encode(b'"text"').decode(), "7"])
def test_a_marker_that_no_page_gave_out_is_refused(marker: str) -> None:
    with pytest.raises(paging.MarkerError, match="is not a NextMarker"):
        paging.read_marker(marker, int)
