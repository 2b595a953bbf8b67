"""Values in the documents of others: where they lie, and what they must be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

Value = TypeVar("Value")

_NAMES: dict[type[Any], str] = {dict: "an object", list: "a list", str: "text", int: "a number"}


def value_at(document: object, path: str, kind: type[Value]) -> Value:
    """What lies at ``path``, names with dots between, if it is of ``kind``; text is never empty.

    Raises:
        ValueError: names the path, and what ought to be there.
    """
    value = _value(document, path)
    if isinstance(value, str) and kind is str and not _is_unicode(value):
        raise ValueError(f"{path} has a lone surrogate, which is no Unicode character")
    if isinstance(value, kind) and not isinstance(value, bool) and value != "":
        return value
    found = "missing" if value is None else "empty" if value == "" else "not of that type"
    raise ValueError(f"{path} is {found}; it must be {_NAMES[kind]}")


def optional_at(document: object, path: str, kind: type[Value]) -> Value | None:
    """What lies at ``path``, or None if it is missing, null or empty text.

    Raises:
        ValueError: it is there, and not of ``kind``.
    """
    if _value(document, path) in (None, ""):
        return None
    return value_at(document, path, kind)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _value(document: object, path: str) -> object:
    for name in path.split("."):
        document = document.get(name) if isinstance(document, Mapping) else None
    return document


# Times: ISO-8601 with an offset from UTC, since no other names a moment.


def parse_timestamp(text: str) -> datetime:
    """The moment that ``text`` names, in UTC.

    Raises:
        ValueError: not ISO-8601, or without an offset from UTC.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no offset from UTC")
    return moment.astimezone(UTC)


def is_timestamp(text: str) -> bool:
    """Whether ``text`` names a moment."""
    try:
        parse_timestamp(text)
    except (ValueError, OverflowError):
        return False
    return True


# ISO 4217: the currencies in use and their minor units (digits after the decimal point).


_TWO_DIGITS = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY
COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF
IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR
MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG
SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES
WST XCD YER ZAR ZMW ZWG
"""

_NO_DIGITS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"

_THREE_DIGITS = "BHD IQD JOD KWD LYD OMR TND"

MINOR_UNITS: dict[str, int] = (
    dict.fromkeys(_TWO_DIGITS.split(), 2)
    | dict.fromkeys(_NO_DIGITS.split(), 0)
    | dict.fromkeys(_THREE_DIGITS.split(), 3)
)
"""Currency code to the number of digits of its minor unit, as in ISO 4217."""
