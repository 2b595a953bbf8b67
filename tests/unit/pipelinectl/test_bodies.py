import json

import pytest

from pipelinectl import sending
from pipelinectl.errors import UsageError
from pipelinectl.sending import MAX_BYTES, Body


def test_each_line_with_text_is_a_body_that_knows_its_number() -> None:
    found = list(sending.from_lines(b'\xef\xbb\xbf{"a": 1}\r\n\n  \n{"b": 2}', "f.jsonl"))

    assert found == [Body('{"a": 1}', "f.jsonl line 1"), Body('{"b": 2}', "f.jsonl line 4")]


def test_byte_order_marks_and_an_end_of_file_mark_are_no_part_of_a_body() -> None:
    mark = b"\xef\xbb\xbf"
    content = mark * 2 + b"1\n" + mark + b"2\r\n" + mark + b"\r\n3\n\x1a"

    assert list(sending.from_lines(content, "f")) == [
        Body("1", "f line 1"),
        Body("2", "f line 2"),
        Body("3", "f line 4"),
    ]
    assert sending.from_whole(mark * 2 + b"1\n", "f") == Body("1", "f")


def test_other_line_separators_of_unicode_do_not_cut_a_body() -> None:
    (body,) = sending.from_lines('{"a": "x\u2028y"}'.encode(), "f")

    assert body.text == '{"a": "x\u2028y"}'


def test_the_whole_of_a_text_is_one_body_without_its_last_newline() -> None:
    assert sending.from_whole(b"a\nb\n", "stdin") == Body("a\nb", "stdin")


def test_a_line_that_is_not_utf8_is_named() -> None:
    with pytest.raises(UsageError, match="f line 2: byte 2 is not UTF-8"):
        list(sending.from_lines(b"ok\nx\xff", "f"))


def test_the_largest_body_passes_and_one_byte_more_does_not() -> None:
    sending.check([Body("é" * (MAX_BYTES // 2), "f line 1")])

    with pytest.raises(UsageError, match="f line 2: 1,048,577 bytes"):
        sending.check([Body("é" * (MAX_BYTES // 2) + "x", "f line 2")])


@pytest.mark.parametrize("character", ["\x00", "\x0b", "\x1f", "\ufffe", "\uffff"])
def test_a_character_that_sqs_refuses_is_named(character: str) -> None:
    with pytest.raises(UsageError, match=rf"f line 7: U\+{ord(character):04X} at character 3"):
        sending.check([Body(f"ab{character}", "f line 7")])


def test_characters_that_sqs_takes_pass() -> None:
    sending.check([Body("\t\n\r \x7f\ud7ff\ue000\ufffd\U00010000\U0010ffff", "f")])


def test_an_empty_body_is_refused() -> None:
    with pytest.raises(UsageError, match="empty"):
        sending.check([Body("", "the body")])


def test_record_ids_are_counted_up_and_leave_the_rest_exactly_as_it_is() -> None:
    body = Body('{"price": 1.10, "n": 12345678901234567890.0}', "f line 1")

    first, second = sending.with_record_ids([body, body], "run")

    assert first.text == '{"price": 1.10, "n": 12345678901234567890.0, "record_id": "run-00001"}'
    assert json.loads(second.text)["record_id"] == "run-00002"


@pytest.mark.parametrize("text", ["not json", "[1]", "1", '{"a": 1, "a": 2}'])
def test_what_is_no_json_object_cannot_have_a_record_id(text: str) -> None:
    with pytest.raises(UsageError, match="f line 1"):
        sending.with_record_id(Body(text, "f line 1"), "run-1")


def test_repeated_bodies_come_in_turn() -> None:
    one, two = Body("1", "a"), Body("2", "b")

    assert list(sending.repeated((one, two), 2)) == [one, two, one, two]


def test_what_does_not_travel_in_a_message_need_not_keep_the_rules_of_sqs() -> None:
    large = Body("\x01" * 11, "f line 1")

    sending.check([large, Body("x" * 10, "f line 2")], offloaded_above=10)

    with pytest.raises(UsageError, match="U\\+0001"):
        sending.check([large], offloaded_above=11)
    with pytest.raises(UsageError, match="empty"):
        sending.check([Body("", "f line 1")], offloaded_above=0)
