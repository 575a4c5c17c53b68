"""Which ItemReaders a definition may have: those that are then read, and no others."""

import json
from typing import Any

import pytest

from scones.cloud.asl.definition import compile_definition
from scones.cloud.asl.failures import DefinitionError

GET = {"Bucket": "b", "Key": "k"}
LIST = {"Bucket": "b", "Prefix": "p/"}
HEADED = {"CSVHeaderLocation": "FIRST_ROW"}
LOADED = {"Transformation": "LOAD_AND_FLATTEN"}
ATHENA = {"ManifestType": "ATHENA_DATA"}


def problem(
    config: dict[str, Any], where: dict[str, Any] = GET, *, jsonata: bool = False, **fields: Any
) -> str:
    """What is wrong with a reader; empty where nothing is."""
    action = "listObjectsV2" if "Prefix" in where else "getObject"
    state: dict[str, Any] = {
        "Type": "Map",
        "End": True,
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "P",
            "States": {"P": {"Type": "Pass", "End": True}},
        },
        "ItemReader": {
            "Resource": f"arn:aws:states:::s3:{action}",
            "ReaderConfig": config,
            "Arguments" if jsonata else "Parameters": where,
        },
    }
    state |= fields
    language = "JSONata" if jsonata else "JSONPath"
    definition = {"QueryLanguage": language, "StartAt": "M", "States": {"M": state}}
    try:
        compile_definition(json.dumps(definition))
    except DefinitionError as refused:
        return str(refused)
    return ""


@pytest.mark.parametrize(
    ("config", "where"),
    [
        *[({"InputType": kind}, GET) for kind in ("JSON", "JSONL", "PARQUET", "MANIFEST")],
        *[({"InputType": kind} | LOADED, LIST) for kind in ("JSON", "JSONL", "PARQUET")],
        *[({"InputType": kind} | ATHENA, GET) for kind in ("CSV", "JSONL", "PARQUET")],
        ({"InputType": "CSV"} | HEADED, GET),
        ({"InputType": "CSV"} | HEADED | LOADED, LIST),
        ({"InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["a"]} | ATHENA, GET),
        ({"ManifestType": "S3_INVENTORY"}, GET),
        ({"ManifestType": "S3_INVENTORY", "CSVDelimiter": "TAB"}, GET),
        ({"InputType": "JSON", "ItemsPointer": "/a/b"}, GET),
        ({}, LIST),
        ({"InputType": "JSON"}, GET | {"VersionId": "null", "ExpectedBucketOwner": "000000000000"}),
        ({"InputType": "JSON"}, {"Bucket.$": "$.b", "Key.$": "$.k", "VersionId.$": "$.v"}),
        ({}, LIST | {"ExpectedBucketOwner": "000000000000"}),
    ],
)
def test_what_is_read_is_accepted(config: dict[str, Any], where: dict[str, Any]) -> None:
    assert problem(config, where) == ""


@pytest.mark.parametrize(
    ("config", "where", "message"),
    [
        ({}, GET, "These fields are required: [InputType]"),
        (LOADED, LIST, "These fields are required: [InputType]"),
        (ATHENA, GET, "These fields are required: [InputType]"),
        ({"InputType": "CSV"}, GET, "These fields are required: [CSVHeaderLocation]"),
        ({"InputType": "ORC"}, GET, "one of these values: [CSV, JSON, JSONL, PARQUET, MANIFEST]"),
        ({"InputType": "MANIFEST"} | LOADED, LIST, "one of these values: [CSV, JSON, JSONL, PARQUET]"),
        ({"InputType": "JSON"} | ATHENA, GET, "one of these values: [CSV, JSONL, PARQUET]"),
        ({"InputType": "MANIFEST"} | ATHENA, GET, "one of these values: [CSV, JSONL, PARQUET]"),
        ({"InputType": "CSV", "ManifestType": "S3_INVENTORY"}, GET, "'InputType' is not supported with"),
        ({"ManifestType": "DELTA"}, GET, "one of these values: [ATHENA_DATA, S3_INVENTORY]"),
        ({"InputType": "CSV"} | HEADED | ATHENA, LIST, "'ManifestType' is only supported for"),
        ({"InputType": "JSONL", "ItemsPointer": "/a"}, GET, "'ItemsPointer' is only supported for"),
        ({"InputType": "JSON", "ItemsPointer": "a"}, GET, "Value is not a valid JSON Pointer"),
        ({"InputType": "JSON", "ItemsPointer": "/" * 2000}, GET, "Value is not a valid JSON Pointer"),
        ({"InputType": "PARQUET"}, GET | {"VersionId.$": "$.v"}, "Field 'VersionId' is not supported for"),
        ({"InputType": "JSON"}, GET | {"Range": "bytes=0-9"}, "Field 'Range' is not supported"),
        ({}, LIST | {"MaxKeys": 3}, "Field 'MaxKeys' is not supported"),
    ],
)
def test_what_is_not_read_is_refused(config: dict[str, Any], where: dict[str, Any], message: str) -> None:
    assert message in problem(config, where)


def test_a_result_writer_is_told_a_bucket_and_a_prefix_and_no_more() -> None:
    writer: dict[str, Any] = {
        "Resource": "arn:aws:states:::s3:putObject",
        "Parameters": {"Bucket": "b", "ACL.$": "$.a"},
    }
    assert "Field 'ACL' is not supported" in problem({"InputType": "JSON"}, ResultWriter=writer)
    writer["Parameters"] = {"Bucket": "b", "Prefix": "p"}
    assert problem({"InputType": "JSON"}, ResultWriter=writer) == ""


def test_arguments_of_jsonata_may_be_one_expression() -> None:
    whole: Any = "{% $states.input.where %}"
    assert problem({"InputType": "PARQUET"}, whole, jsonata=True) == ""
    assert "Field 'VersionId'" in problem({"InputType": "PARQUET"}, GET | {"VersionId": "v"}, jsonata=True)
