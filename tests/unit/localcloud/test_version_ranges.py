"""A read of a part of a version gets that part, and a checksum of the whole does not come along."""

from typing import Any

from localcloud.version_ranges import Response, serving_ranges

HEADERS = {"Content-Length": "10", "ETag": '"e"', "x-amz-checksum-crc32": "c"}
WHOLE: Response = (200, HEADERS, b"0123456789")


def read(answer: Response, parsed: tuple[int, int] | None, **headers: str) -> Response:
    def get_object(*_: Any) -> Response:
        return answer

    def parse_range(text: str, size: int) -> tuple[int, int] | None:
        assert (text, size) == (headers["range"], len(answer[2]))
        return parsed

    return serving_ranges(get_object, parse_range)("bucket", "key", headers, {"versionId": ["v"]})


def test_a_range_is_cut_out_of_the_whole() -> None:
    assert read(WHOLE, (2, 4), range="bytes=2-4") == (
        206,
        {"Content-Length": "3", "ETag": '"e"', "Content-Range": "bytes 2-4/10"},
        b"234",
    )


def test_a_range_outside_of_the_object_is_refused() -> None:
    status, headers, body = read(WHOLE, None, range="bytes=20-")
    assert (status, headers["Content-Range"]) == (416, "bytes */10")
    assert b"<Code>InvalidRange</Code>" in body


def test_a_read_of_the_whole_stays_as_it_is() -> None:
    assert read(WHOLE, None) == WHOLE


def test_what_ministack_cuts_itself_or_refuses_stays_as_it_is() -> None:
    for status in (206, 304, 404, 412):
        answer: Response = (status, HEADERS, b"234")
        assert read(answer, (2, 4), range="bytes=2-4") == answer
