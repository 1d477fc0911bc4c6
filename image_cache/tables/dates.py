"""Dates as spreadsheets write them. Whether the month or the day comes first is decided by the whole column of a file.

Dates that name their order themselves (ISO, dots, month names) need no decision. `DateOrders` remembers the decision for the others,
and what was said about it.
"""

import re
from datetime import UTC, datetime, timedelta

_SLASHED = re.compile(r"(\d{1,2})([/.-])\s?(\d{1,2})\2\s?(\d{4}|\d{2})(?:,?\s+(.*))?")
_YEAR_FIRST = re.compile(r"(\d{4})[/.](\d{1,2})[/.](\d{1,2})(?:,?\s+(.*))?")
_DAY_NAMED = re.compile(r"(\d{1,2})[. -]\s?([A-Za-z]{3,9})[., -]\s?(\d{4}|\d{2})(?:,?\s+(.*))?")
_MONTH_NAMED = re.compile(r"([A-Za-z]{3,9})\.? (\d{1,2}),? (\d{4})(?:,?\s+(.*))?")
_CLOCK = re.compile(r"(\d{1,2})[:.](\d{2})(?:[:.](\d{2})(?:[.,]\d+)?)?\s*([AaPp])?\.?(?:[Mm]\.?)?")
_SERIAL = re.compile(r"([2-7]\d{4})(?:[.,]\d+)?")  # days since 1899-12-30: from 1954 to 2119
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LOCAL = {"mär": 3, "mrz": 3, "mai": 5, "okt": 10, "dez": 12}
CENTURY = 69  # a year of two digits up to 68 is in this century


class DateOrders:
    """What is known about the date columns of one file. For one thread."""

    def __init__(self, *, is_month_first: bool = True) -> None:
        self._default = is_month_first  # for a column that does not show it
        self._decided: dict[str, tuple[bool, str]] = {}  # column -> (month first, the date that shows it)
        self._is_american: set[str] = set()  # columns with AM or PM
        self._said: set[str] = set()
        self.doubtful: set[str] = set()  # columns with a date that can be read both ways

    def learn(self, column: str, text: str) -> bool:
        """Look at a cell before the rows are read. Return True if the column needs no further look."""
        found = _SLASHED.fullmatch(text.strip())
        if found is None or found[2] == ".":
            return column in self._decided
        first, second = int(found[1]), int(found[3])
        if re.search("[AaPp][Mm]", found[5] or ""):
            self._is_american.add(column)
        if first <= 12 < second or second <= 12 < first:
            self._decided.setdefault(column, (second > 12, text.strip()[:20]))
        else:
            self.doubtful.add(column)
        return column in self._decided

    def read(self, column: str, text: str) -> tuple[datetime, str]:
        """Return a moment (UTC), and a remark for the report, at most once for each column. Raises `ValueError`."""
        text = text.strip()
        if found := _SLASHED.fullmatch(text):
            first, second = int(found[1]), int(found[3])
            is_month_first, remark = False, ""
            if found[2] != ".":
                is_month_first, remark = self._order(column, first, second)
            month, day = (first, second) if is_month_first else (second, first)
            return _moment(int(found[4]), month, day, found[5]), remark
        if found := _YEAR_FIRST.fullmatch(text):
            return _moment(int(found[1]), int(found[2]), int(found[3]), found[4]), ""
        if found := _DAY_NAMED.fullmatch(text):
            return _moment(int(found[3]), _month(found[2]), int(found[1]), found[4]), ""
        if found := _MONTH_NAMED.fullmatch(text):
            return _moment(int(found[3]), _month(found[1]), int(found[2]), found[4]), ""
        if _SERIAL.fullmatch(text):
            moment = datetime(1899, 12, 30, tzinfo=UTC) + timedelta(days=float(text.replace(",", ".")))
            return moment.replace(microsecond=0), self._once(
                f"{column} has day numbers such as {text[:20]}, read as days since 1900"
            )
        raise ValueError(text)

    def _order(self, column: str, first: int, second: int) -> tuple[bool, str]:
        if first > 12 or second > 12:
            return second > 12, ""
        if first == second:
            return True, ""
        if column in self._decided:
            is_month_first, shown = self._decided[column]
            remark = f"{column}: dates were read as {_named(is_month_first)}, based on {shown}"
        else:
            is_month_first = self._default or column in self._is_american
            remark = f"{column}: dates were read as {_named(is_month_first)}, but no date in the column proves it"
        return is_month_first, self._once(remark)

    def _once(self, remark: str) -> str:
        if remark in self._said:
            return ""
        self._said.add(remark)
        return remark


def _named(is_month_first: bool) -> str:
    return "month/day/year" if is_month_first else "day/month/year"


def _month(text: str) -> int:
    start = text.casefold()[:3]
    return _LOCAL.get(start) or _MONTHS.index(start) + 1  # ValueError for anything else


def _moment(year: int, month: int, day: int, clock: str | None) -> datetime:
    if year < 100:
        year += 2000 if year < CENTURY else 1900
    hour = minute = second = 0
    if clock:
        found = _CLOCK.fullmatch(clock.strip())
        if found is None:
            raise ValueError(clock)
        hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
        if found[4]:
            hour = hour % 12 + (12 if found[4] in "Pp" else 0)
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
