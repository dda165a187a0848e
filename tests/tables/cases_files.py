"""Files as people write them, with the notes of how they are read."""

import bz2
import codecs
import gzip
import io
import zipfile

import numpy as np
import polars as pl

from tests.tables.cases import A, B, C, Case, rows, text

NAMES = ("a", "b", "c")
LISTS = [A.tolist(), B.tolist()]
PLAIN = rows(A.tolist(), B.tolist(), C.tolist())
SEMI = rows(A.tolist(), B.tolist(), C.tolist(), separator=";")
COMMAS = [line.replace(".", ",") for line in SEMI]
LABELS = [f"{line},{'MF'[i % 2]}" for i, line in enumerate(PLAIN)]
BIG = 1000 * np.abs(A)


def read(
    data: bytes, notes: str = "", name: str = "t.csv", names: tuple[str, ...] = NAMES, words: str = "a number"
) -> Case:
    return Case(data, dict.fromkeys(names, words), notes, name)


def with_header(*above: str, header: str = "a,b,c", body: list[str] = PLAIN) -> bytes:
    return text(*above, header, *body)


def thousands(mark: str, form: str = ",.1f", quote: str = '"') -> bytes:
    cells = [f"{quote}{v:{form}}{quote}".replace(",", mark) for v in BIG]
    return text("a,b", *rows(cells, B.tolist()))


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data/t.csv", data)
    return file.getvalue()


def zstandard() -> bytes:
    file = io.BytesIO()
    pl.DataFrame({"a": A, "b": B, "c": C}).write_csv(file, compression="zstd", check_extension=False)
    return file.getvalue()


NONE = "so there is no header"
UNITS = "row 2 holds units and was skipped"
FILES: dict[str, dict[str, Case]] = {
    "decimal commas": {
        "semicolons": read(text("a;b;c", *COMMAS), "numbers of columns 'a', 'b', 'c' have decimal commas"),
        "tabs": read(text("a\tb\tc", *(line.replace(";", "\t") for line in COMMAS)), "have decimal commas"),
        "quoted": read(
            text("a,b", *rows([f'"{v:.2f}"'.replace(".", ",") for v in A], B.tolist())),
            "'a' have dec",
            names=("a",),
        ),
        "with points between thousands": read(
            text("a;b", *(f"{v:,.2f};{i}".translate(str.maketrans(",.", ".,")) for i, v in enumerate(BIG))),
            *("have decimal commas", "t.csv", ("a",)),
        ),
        "whole numbers with points, and without where they are small": read(
            text("a;b", *(f"{37 * (i - 9) ** 2:,d};{i}".replace(",", ".") for i in range(150))),
            *("column 'a' have thousands separators '.'", "t.csv", ("a", "b"), ""),
        ),
        "three digits behind each point": read(
            text("a;b", *(f"{1 + i % 9}.{(i * 7919) % 900 + 100};{i % 7}" for i in range(150))),
            *(
                "numbers of column 'a' have three digits behind each point, taken for decimals",
                "t.csv",
                ("a",),
                "",
            ),
        ),
        "whole numbers with points beside such": read(
            text(
                "a;b;c",
                *(
                    f"{v:,.2f};{i};{50_000 + 111 * i:,d}".translate(str.maketrans(",.", ".,"))
                    for i, v in enumerate(BIG)
                ),
            ),
            *("columns 'a', 'c' have decimal commas", "t.csv", ("a",)),
        ),
        "UTF-16 with byte-order mark": read(text("a;b;c", *COMMAS, encoding="utf-16"), "decimal commas"),
    },
    "separators in the header": {
        "a comma, quoted": read(text('a;"b, m/s";c', *SEMI), "separated by ';'", names=("a", "b, m/s", "c")),
        "a comma": read(text("a;b, m/s;c", *SEMI), "separated by ';'", names=("a", "b, m/s", "c")),
        "a semicolon": read(text("a,b; m/s,c", *PLAIN), names=("a", "b; m/s", "c")),
        "a comma between tabs": read(
            text("a\tb, m\tc", *(line.replace(";", "\t") for line in SEMI)), names=("b, m",)
        ),
    },
    "lines above and below": {
        "comments": read(with_header("# by me; 2020", "# x, y"), "2 comment lines above the header skipped"),
        "a title": read(
            with_header("My measurements"), "1 title line above the header skipped, 'My measurements'"
        ),
        "a title with separators": read(
            with_header("Station 7, June"), "1 title line above the header skipped"
        ),
        "a title of as many cells": read(
            with_header("My data, Berlin, 2020"), "1 title line above the header skipped"
        ),
        "names and values": read(
            with_header("Instrument,X,", "Serial,12345,"), "2 title lines above the header skipped"
        ),
        "a semicolon in a title": read(
            text("Messwerte, Teil 1; 2020", "a;b;c", *COMMAS), "1 title line above the header skipped"
        ),
        "a source below": read(with_header() + b"Source: me\n", "1 line of words at the end skipped"),
        "a source below a blank line": read(
            with_header() + b"\nSource: me, 2020\n", "1 line of words at the end skipped"
        ),
        "a comment below": read(with_header() + b"# end\n", "1 comment line at the end skipped"),
        "empty rows below": read(with_header() + b",,\n,,\n", "2 empty rows at the end skipped"),
    },
    "thousands": {
        "commas": read(
            thousands(","), "numbers of column 'a' have thousands separators ','", names=("a", "b")
        ),
        "commas in whole numbers": read(thousands(",", ",.0f"), "thousands separators ','", names=("a", "b")),
        "apostrophes": read(thousands("'", ",.0f", ""), 'have thousands separators "\'"', names=("a", "b")),
        "spaces": read(thousands(" ", ",.0f", ""), "have spaces between thousands", names=("a", "b")),
        "narrow spaces": read(
            thousands("\u202f", ",.1f", ""), "have spaces between thousands", names=("a", "b")
        ),
    },
    "no header": {
        "a gap": read(text(PLAIN[0].rpartition(",")[0] + ",?", *PLAIN[1:]), NONE, names=("c0", "c1", "c2")),
        "gaps in two cells": read(text("NA,,-3.1", *PLAIN[1:]), NONE, names=("c0", "c1", "c2")),
        "counts and a gap": read(text("1,2,?", *PLAIN[1:]), NONE, names=("c0", "c1", "c2")),
        "gaps alone": read(text("?,NA,", *PLAIN[1:]), NONE, names=("c0", "c1", "c2")),
        "labels": read(text(*LABELS), NONE, names=("c0", "c1", "c2")),
        "labels first": read(
            text(*(f"{'MF'[i % 2]},{line}" for i, line in enumerate(PLAIN))), NONE, names=("c1", "c2", "c3")
        ),
        "names of rows": read(
            text(*(f"n{i},{line}" for i, line in enumerate(PLAIN))), NONE, names=("c1", "c2", "c3")
        ),
        "dates": read(
            text(*(f"2021-03-0{1 + i % 9},{line}" for i, line in enumerate(PLAIN))),
            NONE,
            names=("c1", "c2", "c3"),
        ),
    },
    "a row of units": {
        "plain": read(with_header("a,b,c", header="s,m/s,mg/m3"), UNITS),
        "in parentheses": read(with_header("a,b,c", header="(kg),(kg),(m)"), UNITS),
        "in brackets": read(with_header("a,b,c", header="[°C],[],[%]"), UNITS),
        "one": read(with_header("a,b,c", header=",kg,"), UNITS),
        "long words": read(with_header("a,b,c", header="seconds,metres per second,parts per million"), UNITS),
        "one and nothing": read(with_header("a,b,c", header="1,m,s"), UNITS),
        "of semicolons": read(text("a;b;c", "s;m/s;kg", *COMMAS), UNITS),
        "two rows": read(
            with_header("a,b,c", "s,m/s,kg", header="Smp,Avg,Avg"), "row 3 holds units and was skipped"
        ),
        "above the header": read(
            with_header("s,m/s,kg"), "1 title line above the header skipped, 's,m/s,kg'"
        ),
        "under an empty row": read(
            with_header("a,b,c", ",,", header="s,m/s,kg"), "row 3 holds units and was skipped"
        ),
        "at every number, with commas and gaps": read(
            text(
                "a;b",
                *(f"NA;{i}" if i % 9 == 0 else f"{v:.3f} kg;{i}".replace(".", ",") for i, v in enumerate(A)),
            ),
            *("every number of column 'a' has 'kg'", "t.csv", ("a",)),
        ),
        "at every number": read(
            text("a,b", *rows([f"{v:.3f} kg" for v in A], B.tolist())),
            "every number of column 'a' has 'kg'",
            names=("a", "b"),
        ),
    },
    "names of rows without a name": {
        "of R": read(
            with_header(body=[f'"n {i}",{line}' for i, line in enumerate(PLAIN)]),
            "has no name and names the rows",
        ),
        "of pandas": read(
            with_header(header=",a,b,c", body=[f"n{i},{line}" for i, line in enumerate(PLAIN)]),
            "column 1 has no name and names the rows, so it was left out",
        ),
        "numbers of R": read(
            with_header(body=[f'"{i + 1}",{line}' for i, line in enumerate(PLAIN)]),
            "has no name and numbers the rows",
        ),
    },
    "packed": {
        "gzip": read(gzip.compress(with_header()), "is a gzip archive and was unpacked", "t.csv.gz"),
        "gzip called CSV": read(gzip.compress(with_header()), "is a gzip archive and was unpacked"),
        "gzip called a table of tabs": read(gzip.compress(with_header()), "is a gzip archive", "t.tsv"),
        "gzip called zip": read(gzip.compress(with_header()), "is a gzip archive", "t.csv.zip"),
        "bzip2": read(bz2.compress(with_header()), "is a bzip2 archive", "t.csv.bz2"),
        "zstandard": read(zstandard(), "is a zstandard archive", "t.csv.zst"),
        "zip of a folder": read(zipped(with_header()), "is a zip archive", "t.zip"),
    },
    "encodings": {
        "byte-order mark": read(codecs.BOM_UTF8 + with_header()),
        "UTF-16": read(with_header().decode().encode("utf-16"), "the text is UTF-16"),
        "UTF-16, big end first": read(
            codecs.BOM_UTF16_BE + with_header().decode().encode("utf-16-be"), "is UTF-16"
        ),
        "Latin-1": read(
            "größe,b,c\n".encode("latin-1") + text(*PLAIN), "read as Windows-1252", names=("größe", "b")
        ),
        "carriage returns": read(with_header().replace(b"\n", b"\r\n")),
    },
}
LATER = rows(A[1:].tolist(), B[1:].tolist())
GAPS = [line if i % 3 else "NA,NA" for i, line in enumerate(rows(*LISTS))]
FILES["whole rows of gaps"] = {
    "first": Case(text("a,b", ",", *LATER), {"a": "0.7% of the cells", "b": "0.7% of the cells"}),
    "inside": Case(text("a,b", *GAPS), {"a": "33.3% of the cells"}),
    "last, with marks": Case(text("a,b", *LATER, "NA,NA"), {"a": "0.7% of the cells"}),
}
