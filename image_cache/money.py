"""Sums of money as the catalogue keeps them: one text, the amount with a point and two digits, then the currency if it is known.

"12.50 EUR", "1500.00 JPY", "12.50". `records.orders.sorts` reads the amount in SQL. Pure functions, no I/O.
"""

import re
from collections import Counter
from collections.abc import Iterable

MAX_CENTS = 999_999_999
# Lower ends of what prices are grouped by, in whatever currency they are.
BANDS = (0, 5, 10, 20, 50, 100, 500)
SIGNS = {"GBP": "£", "EUR": "€", "USD": "$", "JPY": "¥"}
_CODES = {sign: code for code, sign in SIGNS.items()}
_PRICE = re.compile(r"(?P<before>[A-Za-z]{3}|[£€$¥])?\s*(?P<number>[0-9][0-9.,' \u00a0\u202f]*)\s*(?P<after>[A-Za-z]{3}|[£€$¥])?")
# The mark before the cents is not the one between the thousands.
_NUMBER = re.compile(
    r"(?P<whole>[0-9]{1,3}(?P<mark>[.,' ])[0-9]{3}(?:(?P=mark)[0-9]{3})*|[0-9]{1,9})(?:(?!(?P=mark))[.,](?P<part>[0-9]{1,2}))?"
)
_STORED = re.compile(r"(\d{1,7})\.(\d{2})(?: ([A-Z]{3}))?")


def price_of(text: str, currency: str = "") -> str:
    """Return a price as it is stored, from "£12", "12,50 €" or "1,200.00 USD"; `currency` counts where the text names none.

    Raises `ValueError` for text that is no amount, or one of ten million and more.
    """
    found = _PRICE.fullmatch(text.strip())
    if found is None or (found["before"] and found["after"]):
        raise ValueError(text)
    number = _NUMBER.fullmatch(re.sub(r"[\u00a0\u202f]", " ", found["number"]).strip())
    if number is None:
        raise ValueError(text)
    cents = int(re.sub(r"\D", "", number["whole"])) * 100 + int((number["part"] or "").ljust(2, "0"))
    named = found["before"] or found["after"] or currency.strip()
    code = _CODES.get(named, named.upper())
    if cents > MAX_CENTS or (code and not (len(code) == 3 and code.isascii() and code.isalpha())):
        raise ValueError(text)
    return stored(cents, code)


def stored(cents: int, code: str) -> str:
    """Return the text of an amount in hundredths of a currency, "" for an unknown one."""
    return f"{cents // 100}.{cents % 100:02} {code}".rstrip()


def parts(price: str) -> tuple[int, str] | None:
    """Return (hundredths, currency) of a price as it is stored, None for "" and anything else."""
    found = _STORED.fullmatch(price)
    return (int(found[1]) * 100 + int(found[2]), found[3] or "") if found else None


def shown(price: str) -> str:
    """Return a stored price as people read it: £12.50, 80.00 SEK, 12.50."""
    found = parts(price)
    if found is None:
        return ""
    cents, code = found
    amount = f"{cents // 100:,}.{cents % 100:02}"
    return f"{SIGNS[code]}{amount}" if code in SIGNS else f"{amount} {code}".rstrip()


def total(prices: Iterable[str]) -> list[str]:
    """Return the sum of stored prices in each currency, the largest number of prices first."""
    sums: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for price in prices:
        found = parts(price)
        if found is not None:
            sums[found[1]] += found[0]
            counts[found[1]] += 1
    return [f"{sums[code] // 100}.{sums[code] % 100:02} {code}".rstrip() for code, _ in counts.most_common()]
