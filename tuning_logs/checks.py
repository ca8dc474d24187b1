"""Checks of single fields of a record: each returns the value to store or says what was expected."""

import datetime
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from tvm_go.errors import LogError, PlanError
from tvm_go.lowering import Lowering

Checks: TypeAlias = Mapping[str, Callable[[Any], Any]]

_HASH = re.compile(r"[0-9a-f]{32}")


class MismatchError(Exception):
    """Carries what a field should have been; `validate` turns it into a LogError."""


def validate(record: object, kind: str, checks: Checks) -> None:
    """Check every field of a frozen dataclass and store the normalised values.

    Raises
    ------
    LogError
        Naming the first field that is wrong, what it should be, and what it is.
    """
    for field, check in checks.items():
        value = getattr(record, field)
        try:
            checked = check(value)
        except MismatchError as expected:
            raise LogError(f"{kind} record: field '{field}' must be {expected}, got {shown(value)}") from None
        if checked is not value:
            object.__setattr__(record, field, checked)


def shown(value: object) -> str:
    """Return type and value for an error message, cut to a readable length."""
    representation = repr(value)
    if len(representation) > 60:
        representation = representation[:57] + "..."
    return f"{type(value).__name__} {representation}"


def text(value: Any) -> Any:
    """Accept any text."""
    if not isinstance(value, str):
        raise MismatchError("text")
    return value


def name(value: Any) -> Any:
    """Accept text that is not empty."""
    if not isinstance(value, str) or not value:
        raise MismatchError("text that is not empty")
    return value


def optional_name(value: Any) -> Any:
    """Accept text that is not empty, or None."""
    if value is not None and (not isinstance(value, str) or not value):
        raise MismatchError("text that is not empty, or null")
    return value


def one_of(words: tuple[str, ...]) -> Callable[[Any], Any]:
    """Return a check that accepts these words only."""

    def check(value: Any) -> Any:
        if value not in words:
            raise MismatchError(f"one of {', '.join(words)}")
        return value

    return check


def lowering(value: Any) -> Any:
    """Accept the text of a lowering."""
    if value == "te":  # nearly every record of an older log
        return value
    try:
        Lowering.from_text(name(value))
    except PlanError as error:
        raise MismatchError(f"a lowering ({error})") from None
    return value


def structural_hash(value: Any) -> Any:
    """Accept 32 lower-case hexadecimal digits."""
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise MismatchError("32 hexadecimal digits")
    return value


def amount(value: Any) -> float:
    """Accept a finite number, at least 0, and make it a float."""
    if type(value) is float and 0 <= value < math.inf:  # nearly every number of a large log
        return value
    if isinstance(value, float | int) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if 0 <= number < math.inf:
            return number
    raise MismatchError("a finite number, at least 0")


def amount_or_infinity(value: Any) -> float:
    """Accept a number, at least 0; infinity and NaN both mean that there is none, and become infinity."""
    if isinstance(value, float) and (math.isnan(value) or value == math.inf):
        return math.inf
    return amount(value)


def amounts(value: Any) -> tuple[float, ...]:
    """Accept a tuple of finite numbers, at least 0."""
    if not isinstance(value, tuple):
        raise MismatchError("a list of numbers")
    return tuple([amount(item) for item in value])


def count(value: Any) -> Any:
    """Accept a whole number, at least 0."""
    if type(value) is not int or value < 0:
        raise MismatchError("a whole number, at least 0")
    return value


def texts_by_name(value: Any) -> Any:
    """Accept a dict from text to text."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not isinstance(item, str):
                break
        else:
            return value
    raise MismatchError("an object whose values are texts")


def json_object(value: Any) -> Any:
    """Accept a dict; whether JSON can say its values shows when it is written."""
    if not isinstance(value, dict):
        raise MismatchError("an object")
    return value


def optional_json_object(value: Any) -> Any:
    """Accept a dict, or None."""
    if value is not None and not isinstance(value, dict):
        raise MismatchError("an object, or null")
    return value


def time(value: Any) -> Any:
    """Accept a time in ISO 8601, as `datetime.isoformat` writes it."""
    try:
        datetime.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise MismatchError("an ISO 8601 time") from None
    return value
