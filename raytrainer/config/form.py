"""The form of a space file: every key is known, every value is of its type, every parameter is sound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from raytrainer.config.automatic import AUTO, known
from raytrainer.config.conditions import condition_problems
from raytrainer.config.document import CLASS_OFFSETS, CLASS_WEIGHTS, Document, by_class
from raytrainer.config.parameter_form import parse_parameter
from raytrainer.config.parameters import Parameter
from raytrainer.config.problems import KeyPath, Problem, suggest
from raytrainer.config.reserved import (
    AT_THE_TOP,
    NOT_FIXED,
    ONLY,
    fixed_arguments,
    searched,
    trainer_settings,
    why_not_searched,
)
from raytrainer.config.space import Budget, Failures, Resources, Search, Space
from raytrainer.config.storage import Storage
from raytrainer.config.values import Mismatch, Schema, convert, is_text

SECTIONS = ("train", "trainer", "search", "resources", "failures", "space")
ELSEWHERE = {
    **dict.fromkeys(("parameters", "params", "param_space", "search_space", "hyperparameters", "hparams"), "space"),
    **dict.fromkeys(("dataset", "datasets"), "data"),
    **dict.fromkeys(("args", "training", "overrides"), "train"),
    **dict.fromkeys(("metric", "objective", "objectives"), "fitness"),
    **dict.fromkeys(("constraints", "constraint"), "subject_to"),
    **dict.fromkeys(("tune", "study", "optuna"), "search"),
}
"""What other tools call the keys at the top."""
OF_A_CLASS: dict[str, Schema] = {
    CLASS_WEIGHTS: {"type": "number", "exclusiveMinimum": 0},
    CLASS_OFFSETS: {"type": "number", "minimum": -5, "maximum": 5},
}


@cache
def top_level() -> dict[str, Schema]:
    """Keys of the file that hold a single value, each with the schema of its values."""
    properties = Space.model_json_schema()["properties"]
    return {name: schema for name, schema in properties.items() if name not in (*SECTIONS, "source")}


def _mapping_of(schema: Schema, description: str) -> Schema:
    closed = {"properties": schema["properties"], "additionalProperties": False}
    return {"description": description, "type": ["object", "null"], **closed}


@cache
def section_schemas() -> dict[str, dict[str, Schema]]:
    """Keys under every section but `space:`, each with the schema of its values; of one with keys of its own, theirs
    are its `properties`."""
    search = Search.model_json_schema()["properties"]
    return {
        "train": fixed_arguments(),
        "trainer": trainer_settings(),
        "search": {**search, "budget": _mapping_of(Budget.model_json_schema(), search["budget"]["description"])},
        "resources": Resources.model_json_schema()["properties"],
        "failures": Failures.model_json_schema()["properties"],
    }


def _with_keys() -> Iterator[tuple[tuple[str, ...], Mapping[str, Schema]]]:
    """Paths of everything that has known keys, with the schemas of their values."""
    for section, schemas in section_schemas().items():
        yield (section,), schemas
        for key, schema in schemas.items():
            if "properties" in schema:
                yield (section, key), schema["properties"]


def schema_of(name: str) -> Schema | None:
    """Schema of the values of a parameter; None if nothing of that name can be searched."""
    split = by_class(name)
    return OF_A_CLASS[split[0]] if split else searched().get(name)


def holds_text(path: KeyPath, text: str) -> bool:
    """Whether a text is what is meant at a path: `--set name=5` names a study `5`, `fitness=[a, b]` is a list."""
    schemas = top_level() if len(path) == 1 else section_schemas().get(str(path[0]), {})
    schema = schemas.get(str(path[-1])) if len(path) <= 2 else None
    return schema is not None and is_text(schema, text)


class Form:
    """Reads a document into the fields of a space, and collects every problem on the way."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []

    def read(self) -> dict[str, Any]:
        """The fields of a `Space`; to be used only if there are no problems."""
        data = self.document.data
        fields = self._values((), {k: v for k, v in data.items() if k not in SECTIONS}, top_level())
        for name, schemas in section_schemas().items():
            fields[name] = self._section(name, schemas)
        self._storage(fields)
        fields["space"] = self._parameters(self._mapping("space"))
        self._forbidden(fields["train"])
        self._twice(fields)
        for name in ("model", "data"):
            if not data.get(name):
                self._add((name,), f"is missing: write it in the file or give --{name}")
        return fields

    def _storage(self, fields: dict[str, Any]) -> None:
        try:
            fields["storage"] = Storage.parse(fields.get("storage", {}))
        except ValueError as error:
            self._add(("storage",), str(error))

    def _section(self, name: str, schemas: Mapping[str, Schema]) -> dict[str, Any]:
        return self._values((name,), self._mapping(name), schemas)

    def _mapping(self, name: str) -> dict[str, Any]:
        value = self.document.data.get(name)
        if value is None or isinstance(value, dict):
            return value or {}
        self._add((name,), "expected a mapping of keys to values")
        return {}

    def _values(self, path: KeyPath, given: Mapping[str, Any], schemas: Mapping[str, Schema]) -> dict[str, Any]:
        values = {}
        for key, value in given.items():
            if key not in schemas:
                self._add((*path, key), self._unknown(path, key, schemas))
                continue
            if "properties" in schemas[key] and (value is None or isinstance(value, dict)):
                values[key] = self._values((*path, key), value or {}, schemas[key]["properties"])
                continue
            try:
                values[key] = convert(schemas[key], value)
            except Mismatch as mismatch:
                self._add((*path, key), str(mismatch))
        return values

    def _unknown(self, path: KeyPath, key: str, schemas: Mapping[str, Schema]) -> str:
        if path == ("train",) and key in NOT_FIXED:
            return NOT_FIXED[key]
        if path == ("trainer",) and key in AT_THE_TOP:
            return "stands at the top of the file, not under trainer:"
        for section, others in _with_keys():
            if key in others and path != section:
                return f"unknown key; it belongs under {'.'.join(section)}:"
        if key in top_level() and path:
            return "unknown key; it stands at the top of the file"
        if not path and key in ELSEWHERE:
            return f"unknown key, did you mean '{ELSEWHERE[key]}'?"
        return "unknown key" + suggest(key, [*schemas, *(SECTIONS if not path else ())])

    def _forbidden(self, train: Mapping[str, Any]) -> None:
        for key, (only, why) in ONLY.items():
            if train.get(key, only) is not only:
                self._add(("train", key), f"must be {str(only).lower()}: {why}")

    @property
    def automatic(self) -> tuple[str, ...]:
        """Names that may be `auto` and are."""
        return tuple(name for name, raw in self._mapping("space").items() if raw == AUTO and name in known())

    @property
    def taken_out(self) -> tuple[str, ...]:
        """Names that are null: `--set space.lr0=null` takes a parameter out of the search."""
        return tuple(name for name, raw in self._mapping("space").items() if raw is None)

    def _parameters(self, given: Mapping[str, Any]) -> dict[str, Parameter]:
        parameters = {}
        for name, raw in given.items():
            schema = schema_of(name)
            if schema is None:
                hint = suggest(name, [*searched(), f"{CLASS_WEIGHTS}.<name>"])
                self._add(("space", name), why_not_searched(name) or f"is nothing that can be searched{hint}")
                continue
            if name in (*self.taken_out, *self.automatic):
                continue
            if raw == AUTO:
                self._add(("space", name), f"no range is known for it; {AUTO} serves {', '.join(known())}")
                continue
            if isinstance(raw, list):
                self.document.origins.move_below(("space", name), "choices")
            parameter, problems = parse_parameter(raw, schema)
            for keys, message in problems:
                self._add(("space", name, *keys), message)
            if parameter is not None:
                parameters[name] = parameter
        return parameters

    def _twice(self, fields: Mapping[str, Any]) -> None:
        """Keys that are given a value in two places, and conditions."""
        train, trainer, space = fields["train"], fields["trainer"], fields["space"]
        for key in train.keys() & trainer.keys():
            self._add(("trainer", key), "is given twice, here and under train:; keep this one")
        weights = trainer.get(CLASS_WEIGHTS)
        of_classes = {setting: value for setting in OF_A_CLASS if isinstance(value := trainer.get(setting), dict)}
        named = {f"{setting}.{name}": value for setting, of in of_classes.items() for name, value in of.items()}
        fixed = train | trainer | named
        for name in self._searched():
            if name in fixed:
                self._add(("space", name), self._both(name, "train" if name in train else "trainer"))
            elif (
                name.startswith(f"{CLASS_WEIGHTS}.")
                and CLASS_WEIGHTS not in of_classes
                and (weights is not None or CLASS_WEIGHTS in (*space, *self.automatic))
            ):
                self._add(("space", name), "weights of single classes cannot be searched beside class_weights itself")
        broken = set(self._searched()) - space.keys()
        for name, other, message in condition_problems(space, fixed, broken - {*self.automatic}):
            if other in self.automatic:
                message = f"is {AUTO}, on which no condition can be put"
            self._add(("space", name, "when", other), message)

    def _searched(self) -> list[str]:
        """Names under `space:`, those that are wrong among them."""
        return [name for name, raw in self._mapping("space").items() if raw is not None]

    def _both(self, name: str, section: str) -> str:
        place = self.document.origins.at((section, *name.split(".", 1)))
        where = place.file if place.line is None else f"line {place.line}"
        return f"is both searched and fixed ({section}.{name}, {where}); --set space.{name}=null would fix it"

    def _add(self, path: KeyPath, message: str) -> None:
        problem = self.document.origins.problem(path, message)
        if problem not in self.problems:
            self.problems.append(problem)
