"""Files of records, one per id, in a folder of the results; a record counts only in the file that its id names."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, Generic, TypeVar

from models.common import files, records
from models.common.errors import DataError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Store(Generic[T]):
    """The files of one kind of record.

    In errors `what` names a record, and `remedy` says what to do, with {id} for the id that it should have. `content`
    returns what is written of a record, `id` its id.
    """

    kind: type[T]
    folder: str
    what: str
    remedy: str
    id: Callable[[T], str] = attrgetter("id")
    content: Callable[[T], Any] = lambda record: record

    def path(self, results: Path, id: str) -> Path:
        """Return where the record of an id lies."""
        return results / self.folder / f"{files.stem(id)}.json"

    def save(self, record: T, results: Path) -> None:
        """Write a record whole."""
        records.write(self.path(results, self.id(record)), self.content(record))

    def read(self, results: Path, id: str) -> T | None:
        """Read the record of an id, None where there is none; raises DataError where it is broken or another's."""
        return self.read_file(self.path(results, id))

    def read_file(self, file: Path) -> T | None:
        """Read a file's record, as `read` does."""
        again = self.remedy.format(id=file.stem)
        record = records.read(file, self.kind, what=self.what, remedy=again)
        if record and files.stem(self.id(record)) != file.stem:
            raise DataError(f"{file} is the {self.what} of {self.id(record)}. {again}")
        return record
