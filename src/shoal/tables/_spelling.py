"""Cells that are nearly numbers: units of measurement, and ways to write numbers, dates and times that are not read."""

import re

import polars as pl

_PREFIXES = ("", *"kmcdhnµμuMGTp")
_BASES = "m g s A K mol Hz N Pa J W Wh V F Ω ohm S T l L eV B"
_OTHERS = """
    min h hr hrs d day days wk yr yrs year years sec secs seconds minutes hours in inch ft feet yd mi mile miles lb lbs oz
    gal °C °F ° deg degC degF degrees rad ppm ppb ppt psu mph kph kmh rpm psi atm mmHg mbar hbar bar dB dBA dBm cal kcal
    IU U ha acre acres px pcs bpm bps VA kVA kn kt kts t C AU pc kpc Mpc mag TS RN ADU cts counts
    %RH dimensionless unitless
"""
SIGNS = "%‰$€£¥"
MONEY = ("EUR", "USD", "GBP", "CHF", "JPY", *SIGNS)  # all that stand before numbers: C1 and T2 are codes
UNITS = frozenset(
    {*(prefix + base for prefix in _PREFIXES for base in _BASES.split()), *_OTHERS.split(), *MONEY}
)
_MARK = "|".join(re.escape(sign) for sign in MONEY)
_DOTTED = r"^\d+(\.\d+){2,}$"  # addresses and versions, which are names, if they are no dates
_SHORT_YEARS = r"^\d{1,2}[./-]\d{1,2}[./-]\d{2}$"
ODD = (  # cells that are not read as numbers, what they are, and how to write them
    (
        r"^\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?$",
        "a time without a date",
        "write it as a number, of hours say",
    ),
    (_SHORT_YEARS, "a date with a year of two digits", "write years with four digits"),
    (r"^[+-]?\d{1,3}°\s?\d", "an angle in degrees and minutes", "write degrees with decimals"),
    (r"^[+-]?[\d.,]+\s?[x×*·]\s?10\s?\^?[+-]?\d+$", "a number times a power of ten", "write it as in 1.5e3"),
    (r"^(<|>|~|≈|<=|>=)\s*[+-]?[\d.,]+$", "a number with a sign before it", "write numbers alone"),
    (
        r"^[+-]?[\d.,]+\s*(±|\+/-)\s*[\d.,]+$",
        "a number with its error",
        "write the error in a column of its own",
    ),
    (r"^[+-]?\d{1,3}(,\d{2,3})+(\.\d+)?$", "a number with groups of digits", "write digits without groups"),
    (r"^[+-]?\d{1,3}(_\d{3})+(\.\d+)?$", "a number with groups of digits", "write digits without groups"),
    (
        r"^(\w{3,9},? )?\d{1,2}[ /.-]{1,2}[A-Za-z]{3,9}[ /.-](\d{2}|\d{4})\b"
        r"|^\w{3} \w{3} +\d{1,2} [\d:]{5,8} .*\d{4}$|^\d{4}-W\d\d",
        "a date in a form that is not read",
        "write it as in 2021-12-31",
    ),
    (r"^\(?[0-9.,]+\)?-?$", "a number with a sign of bookkeeping", "write numbers with a minus before them"),
    (
        rf"^\(?[+-]?({_MARK})?\s?[0-9.,]+\s?({_MARK})?\)?$",
        "a number with a sign or unit that not all of them have",
        "write numbers alone",
    ),
    (r"^[+-]?\d[\d.,٫٬]*$", "a number in other digits than 0 to 9", "write it in those"),
    (r"^[+-]?\d*\.?\d*[dD][+-]?\d+$", "a number with an exponent D", "write e for it"),
    (
        rf"^\(?[+-]?({_MARK})?\s?[\d.,]+\s?(k|K|M|m|B|bn|mio|Mio)\)?$",
        "a number of thousands or more",
        "write numbers out",
    ),
    (
        rf"^[+-]?[\d.,]+\s?({'|'.join(map(re.escape, sorted(UNITS)))})?$",
        "a number with a unit",
        "write numbers alone, in one unit",
    ),
)


def are_codes(cells: pl.Series, mark: str) -> bool:
    """Whether cells are a handful of codes such as 1A and 2A: whole numbers up to 12, a capital letter right behind."""
    if not re.fullmatch("[A-Z]", mark):
        return False
    return bool(cells.str.contains(rf"^([0-9]|1[0-2]){mark}$").all())


def is_unit(text: str) -> bool:
    """Whether a text is a unit, such as kg, (m/s) or W m^-2."""
    parts = [
        re.sub(r"\^?[-+−⁻]?[\d²³¹]+$", "", part)
        for part in re.split(r"[\s/·*()\[\]]+|\.(?=\w)", text.strip())
    ]
    found = [part for part in parts if part]
    return bool(found) and all(part in UNITS for part in found)


def odd_spelling(cells: pl.Series) -> tuple[int, str, str] | None:
    """The first of cells (text) that are nearly all written as no number is read, what it is, and a cure; else None."""
    if cells.str.contains(_DOTTED).all() and not cells.str.contains(_SHORT_YEARS).all():
        return None
    for pattern, what, cure in ODD:
        found = cells.str.contains(pattern)
        if found.any() and int(found.sum()) >= 0.8 * len(cells):
            return int(found.arg_max() or 0), what, cure
    return None
