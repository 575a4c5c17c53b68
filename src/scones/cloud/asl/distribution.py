"""Reading what makes a Map distributed: its mode, reader, batcher, writer and tolerance."""

import re
from collections.abc import Set
from typing import Any

from .fields import DISTRIBUTED, JSONATA_FIELDS, JSONPATH_FIELDS
from .program import (
    READER_ARGUMENTS,
    WRITER_ARGUMENTS,
    Distribution,
    ItemBatcher,
    ItemReader,
    ResultWriter,
)
from .reader import Reader

__all__ = ["allow_fields", "read_distribution", "read_tolerance"]

_READERS = {
    "arn:aws:states:::s3:getObject": "getObject",
    "arn:aws:states:::s3:listObjectsV2": "listObjectsV2",
}
_WRITER = "arn:aws:states:::s3:putObject"
_LOADED_TYPES = ("CSV", "JSON", "JSONL", "PARQUET")
_ATHENA_TYPES = ("CSV", "JSONL", "PARQUET")
_LONGEST_POINTER = 1999
_DELIMITERS = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}
_LABEL = re.compile(r"""[^\s?*<>{}\[\]:;,\\|^~$#%&`"\x00-\x1f\x7f-\x9f]{1,40}""")
_MOST_BYTES = 262_144
_MOST_ITEMS = 100_000_000


def allow_fields(reader: Reader) -> None:
    """A Map's fields; a distributed one has more of them."""
    path, query = JSONPATH_FIELDS["Map"], JSONATA_FIELDS["Map"]
    names, others = (query, path) if reader.jsonata else (path, query)
    if _mode(reader) == "DISTRIBUTED":
        names = names | DISTRIBUTED
    reader.allow(names, others)


_SENT: tuple[Set[str], Set[str]] = ({"Parameters"}, {"Arguments"})
"""What goes with a request, in JSONPath and in JSONata."""


def _allow(reader: Reader, names: Set[str], path: Set[str], query: Set[str] = frozenset()) -> None:
    """names: of both query languages.  path, query: what only the one has, and only the other."""
    own, others = (query, path) if reader.jsonata else (path, query)
    reader.allow(names | own, others)


def _processor(reader: Reader) -> tuple[str, dict[str, Any]]:
    """(the field of the processor, its ProcessorConfig)."""
    field = "Iterator" if "Iterator" in reader else "ItemProcessor"
    processor = reader.fields.get(field)
    config = processor.get("ProcessorConfig") if isinstance(processor, dict) else None
    return field, config if isinstance(config, dict) else {}


def _mode(reader: Reader) -> Any:
    return _processor(reader)[1].get("Mode", "INLINE")


def read_distribution(reader: Reader, labels: set[str]) -> Distribution | None:
    """None for an inline Map. labels: those of the machine's other Maps; this one's is added."""
    field, config = _processor(reader)
    place = f"{field}/ProcessorConfig"
    mode = _mode(reader)
    if mode not in ("INLINE", "DISTRIBUTED"):
        reader.wrong("The field 'Mode' should have one of these values: [INLINE, DISTRIBUTED]", place)
    if mode != "DISTRIBUTED":
        return None
    kind = config.get("ExecutionType")
    if kind is None:
        reader.wrong("These fields are required: [ExecutionType]", place)
    elif kind not in ("STANDARD", "EXPRESS"):
        reader.wrong("The field 'ExecutionType' should have one of these values: [STANDARD, EXPRESS]", place)
    return Distribution(
        label=_label(reader, labels),
        express=kind == "EXPRESS",
        reader=_item_reader(reader),
        batcher=_item_batcher(reader),
        writer=_result_writer(reader),
    )


def read_tolerance(reader: Reader) -> dict[str, Any]:
    """How many failed items a Map bears."""
    count, percentage = "ToleratedFailureCount", "ToleratedFailurePercentage"
    reader.at_most_one(count, f"{count}Path")
    reader.at_most_one(percentage, f"{percentage}Path")
    return {
        "tolerated_count": reader.integer(count, 0, 2**31 - 1),
        "tolerated_count_path": reader.query(count) or reader.number_path(f"{count}Path"),
        "tolerated_percentage": _percentage(reader),
        "tolerated_percentage_path": reader.query(percentage) or reader.number_path(f"{percentage}Path"),
    }


def _label(reader: Reader, labels: set[str]) -> str | None:
    label = reader.text("Label")
    if label is None:
        return None
    if not _LABEL.fullmatch(label):
        reader.wrong(f"Invalid label: {label}", "Label", "INVALID_LABEL_NAME")
    if label in labels:
        reader.wrong(f"Duplicate label: {label}", "Label", "DUPLICATE_LABEL_NAME")
    labels.add(label)
    return label


def _percentage(reader: Reader) -> float | None:
    field = "ToleratedFailurePercentage"
    value = reader.fields.get(field)
    if value is None or reader.queried(field):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        reader.wrong("Expected value of type Number", field)
    elif value < 0:
        reader.wrong("Minimum value is 0.0", field)
    elif value > 100:
        reader.wrong("Maximum value is 100.0", field)
    else:
        return float(value)
    return None


def _item_reader(outer: Reader) -> ItemReader | None:
    reader = outer.below("ItemReader", outer.fields["ItemReader"]) if "ItemReader" in outer else None
    if reader is None:
        return None
    _allow(reader, {"Resource", "ReaderConfig", "Comment"}, *_SENT)
    if not reader.require("Resource"):
        return None
    action = _READERS.get(str(reader.fields["Resource"]))
    if action is None:
        reader.unsupported(f"An ItemReader of the resource '{reader.fields['Resource']}'", "Resource")
        return None
    config = reader.below("ReaderConfig", reader.fields.get("ReaderConfig", {}))
    if config is None:
        return None
    read = _reader_config(config, action)
    arguments = _check_arguments(reader, READER_ARGUMENTS[action])
    if read["input_type"] == "PARQUET" and "VersionId" in arguments:
        reader.wrong("Field 'VersionId' is not supported for Parquet files", reader.arguments)
    return ItemReader(action=action, parameters=reader.template(reader.arguments), **read)


def _check_arguments(reader: Reader, known: set[str]) -> set[str]:
    """The names of those that are written out; what one expression gives for all is checked as it does."""
    given = reader.fields.get(reader.arguments)
    if not isinstance(given, dict):
        return set()
    names = {field if reader.jsonata else field.removesuffix(".$") for field in given}
    for name in sorted(names - known):
        reader.wrong(f"Field '{name}' is not supported", reader.arguments)
    return names


def _reader_config(config: Reader, action: str) -> dict[str, Any]:
    _allow(config, {"InputType", "CSVHeaderLocation", "CSVHeaders", "CSVDelimiter", "MaxItems",
                    "ItemsPointer", "Transformation", "ManifestType"}, {"MaxItemsPath"})  # fmt: skip
    config.at_most_one("MaxItems", "MaxItemsPath")
    flatten = _one_of(config, "Transformation", ("NONE", "LOAD_AND_FLATTEN"), "NONE") == "LOAD_AND_FLATTEN"
    manifest = _manifest_type(config, action)
    kind = _input_type(config, manifest, required=action == "getObject" or flatten, loaded=flatten)
    location = _one_of(config, "CSVHeaderLocation", ("FIRST_ROW", "GIVEN"), "FIRST_ROW")
    headers = config.array("CSVHeaders")
    if kind == "CSV" and manifest is None and "CSVHeaderLocation" not in config:
        config.wrong("These fields are required: [CSVHeaderLocation]")
    if location == "GIVEN" and not headers:
        config.wrong("These fields are required: [CSVHeaders]")
    if not all(isinstance(name, str) for name in headers):
        config.wrong("Expected value of type String", "CSVHeaders")
    return {
        "input_type": kind if action == "getObject" or flatten else None,
        "athena": manifest == "ATHENA_DATA",
        "headers": tuple(headers) if location == "GIVEN" else None,
        "delimiter": _DELIMITERS[_one_of(config, "CSVDelimiter", tuple(_DELIMITERS), "COMMA")],
        "max_items": config.integer("MaxItems", 0, _MOST_ITEMS),
        "max_items_path": config.query("MaxItems") or config.number_path("MaxItemsPath"),
        "pointer": _pointer(config, kind),
        "flatten": flatten,
    }


def _manifest_type(config: Reader, action: str) -> str | None:
    if "ManifestType" not in config:
        return None
    if action != "getObject":
        config.wrong("The field 'ManifestType' is only supported for the resource 's3:getObject'")
    return _one_of(config, "ManifestType", ("ATHENA_DATA", "S3_INVENTORY"), "ATHENA_DATA")


def _input_type(config: Reader, manifest: str | None, *, required: bool, loaded: bool) -> str | None:
    """Of what is read in the end; MANIFEST for an inventory, whose type is not to be given."""
    if manifest == "S3_INVENTORY":
        if "InputType" in config:
            config.wrong("The field 'InputType' is not supported with the ManifestType 'S3_INVENTORY'")
        return "MANIFEST"
    kind = config.text("InputType")
    if kind is None:
        if required and "InputType" not in config:
            config.wrong("These fields are required: [InputType]")
        return None
    types = _ATHENA_TYPES if manifest else _LOADED_TYPES if loaded else (*_LOADED_TYPES, "MANIFEST")
    return _one_of(config, "InputType", types, kind)


def _one_of(reader: Reader, field: str, values: tuple[str, ...], default: str) -> str:
    value = reader.fields.get(field, default)
    if value in values:
        return str(value)
    reader.wrong(f"The field '{field}' should have one of these values: [{', '.join(values)}]", field)
    return default


def _pointer(config: Reader, kind: str | None) -> tuple[str, ...]:
    """The names that a JSON Pointer (RFC 6901) leads through."""
    text = config.text("ItemsPointer")
    if not text:
        return ()
    if not text.startswith("/") or len(text) > _LONGEST_POINTER:
        config.wrong("Value is not a valid JSON Pointer", "ItemsPointer")
    if kind != "JSON":
        config.wrong("The field 'ItemsPointer' is only supported for the InputType 'JSON'")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])


def _item_batcher(outer: Reader) -> ItemBatcher | None:
    reader = outer.below("ItemBatcher", outer.fields["ItemBatcher"]) if "ItemBatcher" in outer else None
    if reader is None:
        return None
    names = {"MaxItemsPerBatch", "MaxInputBytesPerBatch", "BatchInput", "Comment"}
    _allow(reader, names, {"MaxItemsPerBatchPath", "MaxInputBytesPerBatchPath"})
    reader.at_most_one("MaxItemsPerBatch", "MaxItemsPerBatchPath")
    reader.at_most_one("MaxInputBytesPerBatch", "MaxInputBytesPerBatchPath")
    if not any(name.startswith("Max") for name in reader.fields):
        reader.wrong("One of these fields is required: [MaxItemsPerBatch, MaxInputBytesPerBatch]")
    return ItemBatcher(
        max_items=reader.integer("MaxItemsPerBatch", 1, _MOST_ITEMS),
        max_items_path=reader.query("MaxItemsPerBatch") or reader.number_path("MaxItemsPerBatchPath"),
        max_bytes=reader.integer("MaxInputBytesPerBatch", 1, _MOST_BYTES),
        max_bytes_path=reader.query("MaxInputBytesPerBatch")
        or reader.number_path("MaxInputBytesPerBatchPath"),
        batch_input=reader.template("BatchInput"),
    )


def _result_writer(outer: Reader) -> ResultWriter | None:
    reader = outer.below("ResultWriter", outer.fields["ResultWriter"]) if "ResultWriter" in outer else None
    if reader is None:
        return None
    _allow(reader, {"Resource", "WriterConfig", "Comment"}, *_SENT)
    exported = "Resource" in reader
    if exported and reader.fields["Resource"] != _WRITER:
        reader.unsupported(f"A ResultWriter of the resource '{reader.fields['Resource']}'", "Resource")
    if exported:
        reader.require(reader.arguments)
        _check_arguments(reader, WRITER_ARGUMENTS)
    elif not reader.require("WriterConfig"):
        return None
    config = reader.below("WriterConfig", reader.fields.get("WriterConfig", {}))
    if config is None:
        return None
    config.allow({"Transformation", "OutputType"})
    return ResultWriter(
        parameters=reader.template(reader.arguments) if exported else None,
        transformation=_one_of(config, "Transformation", ("NONE", "COMPACT", "FLATTEN"), "NONE"),
        lines=_one_of(config, "OutputType", ("JSON", "JSONL"), "JSON") == "JSONL",
    )
