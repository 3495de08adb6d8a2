"""What a file may hold and how it may be written; which of it a file's name tells. Imports nothing heavy."""

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["behaviors", "items", "users"]
Format = Literal["jsonl", "csv", "parquet", "movielens", "amazon"]

KINDS: tuple[Kind, ...] = get_args(Kind)
FORMATS: tuple[Format, ...] = get_args(Format)

SUFFIXES: dict[str, Format] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip

# MovieLens (Harper and Konstan, 2015). The order is that of the 0/1 columns of u.item.
GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip


@dataclass(frozen=True)
class Table:
    """One file of a MovieLens release."""

    kind: Kind
    separator: str  # a comma means CSV: a header with `columns`, and quotes
    columns: tuple[str, ...]


MOVIELENS: dict[str, Table] = {
    # 100K
    "u.data": Table("behaviors", "\t", ("user_id", "item_id", "rating", "time")),
    "u.item": Table("items", "|", ("item_id", "title", "released", "video", "url", *GENRES)),
    "u.user": Table("users", "|", ("user_id", "age", "gender", "occupation", "zip")),
    # 1M; 10M has no users
    "ratings.dat": Table("behaviors", "::", ("user_id", "item_id", "rating", "time")),
    "movies.dat": Table("items", "::", ("item_id", "title", "genres")),
    "users.dat": Table("users", "::", ("user_id", "gender", "age", "occupation", "zip")),
    # 20M and later
    "ratings.csv": Table("behaviors", ",", ("userId", "movieId", "rating", "timestamp")),
    "movies.csv": Table("items", ",", ("movieId", "title", "genres")),
}


def movielens_table(name: str) -> Table | None:
    """The MovieLens file that goes by this name (a path or URL; a further .gz is fine), if any."""
    return MOVIELENS.get(_base(name))


def format_of(name: str) -> Format | None:
    """The format that a path or URL names, by its last part; a further .gz is fine. None: it names none."""
    table = movielens_table(name)
    if table and table.separator != ",":  # who writes a ratings.csv may mean columns of any name: its header decides
        return "movielens"
    base = _base(name)
    return SUFFIXES.get(base[base.rfind(".") :]) if "." in base[1:] else None


def _base(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2].lower().removesuffix(".gz")
