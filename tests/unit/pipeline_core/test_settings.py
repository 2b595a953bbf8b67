from __future__ import annotations

from dataclasses import dataclass

import pytest

from pipeline_core.settings import read_settings


@dataclass(frozen=True)
class Settings:
    table_name: str
    retry_delay: int
    endpoint: str = ""
    days: int = 0


def test_each_field_is_the_variable_of_its_name() -> None:
    environment = {"TABLE_NAME": "table", "RETRY_DELAY": "5", "ENDPOINT": "http://s3.test"}

    assert read_settings(Settings, environment) == Settings("table", 5, "http://s3.test", 0)


def test_all_that_is_wrong_is_named() -> None:
    with pytest.raises(ValueError, match="TABLE_NAME is not set; RETRY_DELAY is 'soon', which is"):
        read_settings(Settings, {"RETRY_DELAY": "soon"})
