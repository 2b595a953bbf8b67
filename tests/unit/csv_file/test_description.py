from __future__ import annotations

import pytest

from csv_file.contract import InvalidFile
from csv_file.description import described
from tests.unit.csv_file.reading import a_head


@pytest.mark.parametrize(
    ("key", "metadata", "processing_type"),
    [
        ("input/x.csv", {}, "standard"),
        ("input/order/x.csv", {}, "order"),
        ("input/order/2026/x.csv", {}, "order"),
        ("input/2026/order/x.csv", {}, "standard"),
        ("input/nope/x.csv", {}, "standard"),
        ("order/x.csv", {}, "standard"),
        ("x.csv", {}, "standard"),
        ("input/order/x.csv", {"processing_type": "standard"}, "standard"),
        ("input/x.csv", {"processing_type": "order"}, "order"),
        ("input/order/x.csv", {"processing_type": ""}, "order"),
    ],
)
def test_the_processing_type_is_that_of_the_metadata_else_of_the_folder(
    key: str, metadata: dict[str, str], processing_type: str
) -> None:
    file, _ = described(a_head(b"a\n", key, **metadata))

    assert file["processing_type"] == processing_type


def test_an_unknown_type_in_the_metadata_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InvalidFile) as invalid:
        described(a_head(b"a\n", processing_type="nope"))

    assert invalid.value.reason == {
        "type": "UnknownProcessingType",
        "message": "the metadata 'processing-type' is 'nope'; it must be one of: order, standard",
        "errors": ["the metadata 'processing-type' is 'nope'; it must be one of: order, standard"],
    }


@pytest.mark.parametrize(
    ("key", "metadata", "source"),
    [
        ("input/a/b c.csv", {}, "b c.csv"),
        ("b.csv", {}, "b.csv"),
        ("input/b.csv", {"data_source": "Shop"}, "Shop"),
        ("input/b.csv", {"data_source": ""}, "b.csv"),
    ],
)
def test_the_source_is_that_of_the_metadata_else_the_files_name(
    key: str, metadata: dict[str, str], source: str
) -> None:
    file, _ = described(a_head(b"a\n", key, **metadata))

    assert file["data_source"] == source
