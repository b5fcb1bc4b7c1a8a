"""`storage:`: the folder of studies, and where the study itself is if not in a file there."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Annotated, Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from raytrainer.config.problems import masked, suggest

PASSWORD = "RAYTRAINER_STORAGE_PASSWORD"
"""Environment variable with the password of a storage URL that has none: what a command line or a file that others
read should leave out. PostgreSQL's own ways, `PGPASSWORD` and `~/.pgpass`, work as well."""
FOLDER = "runs"
DRIVERS: dict[str, tuple[str, str] | None] = {
    "sqlite": None,
    "postgresql": ("psycopg", "postgresql"),
    "redis": ("redis", "redis"),
    "rediss": ("redis", "redis"),
}
"""The module that a scheme needs, and the extra of this package that installs it."""
ALIASES = {"postgres": "postgresql"}
SECRET = re.compile(r"pass|pwd", re.IGNORECASE)
NOT_A_FOLDER = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:/")


@dataclass(frozen=True)
class StudyUrl:
    """Where a study is: `sqlite:///file`, `postgresql://user@host/database`, `redis://host:6379/0`.

    Its text has no password, so it may be printed and written anywhere.
    """

    text: str
    _password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return self.text

    @property
    def kind(self) -> str:
        """`sqlite`, `postgresql`, `redis` or `rediss`."""
        return urlsplit(self.text).scheme

    @property
    def path(self) -> str:
        """The file of an SQLite database."""
        return unquote(urlsplit(self.text).path)[1:]

    @property
    def password(self) -> str | None:
        """The one it came with, else that of the environment; None leaves it to the driver's own ways."""
        return self._password or os.environ.get(PASSWORD)

    def connection(self) -> str:
        """The URL to connect with, password included: not to be shown."""
        parts = urlsplit(self.text)
        user, at, host = parts.netloc.rpartition("@")
        if self.password and (at or self.kind.startswith("redis")):
            return _url(parts._replace(netloc=f"{user}:{quote(self.password, safe='')}@{host}"))
        return self.text

    def missing(self) -> str | None:
        """What to install before it can be used; None if nothing is missing."""
        driver = DRIVERS[self.kind]
        if driver is None or find_spec(driver[0]) is not None:
            return None
        return f"{self} needs the package {driver[0]}: pip install 'raytrainer[{driver[1]}]'"

    @classmethod
    def parse(cls, text: str) -> StudyUrl:
        """The URL in `text`; a relative path of an SQLite file is one in the working folder.

        Raises:
            ValueError: if it is none that a study can be kept at; the message holds no password.
        """
        parts = urlsplit(text)
        scheme, plus, driver = parts.scheme.partition("+")
        kind = ALIASES.get(scheme, scheme)
        if kind not in DRIVERS:
            raise ValueError(f"no study can be kept at {masked(text)}{suggest(kind, DRIVERS)}")
        if plus and (DRIVERS[kind] or ("",))[0] != driver:
            raise ValueError(f"{masked(text)} names a driver of its own; expected {kind}://")
        if any(SECRET.search(key) for key, _ in parse_qsl(parts.query, keep_blank_values=True)):
            raise ValueError(f"a password stands before the host, as in {kind}://user:password@host, or in {PASSWORD}")
        password = unquote(parts.password) if parts.password else None
        user, _, host = parts.netloc.rpartition("@")
        name = user.partition(":")[0]
        shown = parts._replace(scheme=kind, netloc=f"{name}@{host}" if name else host, fragment="")
        return cls(_sqlite(shown) if kind == "sqlite" else _server(shown), password)


def _sqlite(parts: SplitResult) -> str:
    file = unquote(parts.path)[1:]
    if not file or file == ":memory:" or parts.netloc:
        raise ValueError(f"expected the file of an SQLite database, as sqlite:///studies.db, got {_url(parts)}")
    return f"sqlite:///{quote(os.path.abspath(file))}"


def _server(parts: SplitResult) -> str:
    if not parts.netloc and "host=" not in parts.query:
        raise ValueError(f"{_url(parts)} names no host")
    return _url(parts)


def _url(parts: SplitResult) -> str:
    """Unlike `urlunsplit`, which writes `sqlite:/file`, with both slashes before an empty host."""
    return f"{parts.scheme}://{parts.netloc}{parts.path}" + (f"?{parts.query}" if parts.query else "")


@dataclass(frozen=True)
class Storage:
    """Where studies are kept."""

    folder: str = FOLDER
    """Of the studies' folders."""
    url: StudyUrl | None = None
    """Of the study; None keeps it as a file in the study's folder."""

    def __str__(self) -> str:
        return self.folder if self.url is None else str(self.url)

    @classmethod
    def parse(cls, value: Any) -> Storage:
        """A folder, a URL, or a mapping of `folder` and `study` for both.

        Raises:
            ValueError: on anything else; the message holds no password.
        """
        if isinstance(value, Storage):
            return value
        given = value if isinstance(value, Mapping) else {"study" if _is_url(value) else "folder": value}
        if unknown := next((key for key in given if key not in ("folder", "study")), None):
            raise ValueError(f"has no key '{unknown}'{suggest(unknown, ['folder', 'study'])}")
        folder, study = given.get("folder") or FOLDER, given.get("study")
        if _is_url(folder):
            raise ValueError("folder is a path; a URL stands under study")
        if "\0" in str(folder):
            raise ValueError("expected a path, got one with a null byte")
        return cls(str(folder), StudyUrl.parse(str(study)) if study else None)

    def plain(self) -> str | dict[str, str]:
        """What `parse` reads back, without a password."""
        if self.url is None:
            return self.folder
        return str(self.url) if self.folder == FOLDER else {"folder": self.folder, "study": str(self.url)}

    def without_password(self) -> Storage:
        """The same, for processes that never open the study."""
        return self if self.url is None else replace(self, url=StudyUrl(self.url.text))


def _is_url(value: Any) -> bool:
    return isinstance(value, str) and NOT_A_FOLDER.match(value) is not None


StorageField = Annotated[
    Storage,
    BeforeValidator(Storage.parse),
    PlainSerializer(Storage.plain),
    Field(json_schema_extra={"default": FOLDER, "title": "Storage"}),
    WithJsonSchema(
        {
            "type": ["string", "object"],
            "propertyNames": {"enum": ["folder", "study"]},
            "additionalProperties": {"type": "string"},
        }
    ),
]
"""A storage as a field of a space."""
