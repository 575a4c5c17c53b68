"""Which fields each type of state has, in each of the two query languages."""

__all__ = ["DISTRIBUTED", "JSONATA_FIELDS", "JSONPATH_FIELDS"]

_COMMON = {"Type", "Comment", "QueryLanguage"}
_FLOW = {"Next", "End", "Assign"}
_PATHS = {"InputPath", "OutputPath"}
_WORK = {"Retry", "Catch"}
_RESULT = {"ResultSelector", "ResultPath"}
_TOLERATED = {"ToleratedFailureCount", "ToleratedFailurePercentage"}
"""An inline Map has them too; they are evaluated, but have no effect, as recorded."""

JSONPATH_FIELDS = {
    "Task": _COMMON | _FLOW | _PATHS | _WORK | _RESULT
    | {"Resource", "Parameters", "Credentials", "TimeoutSeconds", "TimeoutSecondsPath"}
    | {"HeartbeatSeconds", "HeartbeatSecondsPath"},
    "Parallel": _COMMON | _FLOW | _PATHS | _WORK | _RESULT | {"Branches", "Parameters"},
    "Map": _COMMON | _FLOW | _PATHS | _WORK | _RESULT
    | {"ItemProcessor", "Iterator", "ItemsPath", "ItemSelector", "Parameters"}
    | {"MaxConcurrency", "MaxConcurrencyPath"}
    | _TOLERATED | {"ToleratedFailureCountPath", "ToleratedFailurePercentagePath"},
    "Pass": _COMMON | _FLOW | _PATHS | {"Result", "ResultPath", "Parameters"},
    "Wait": _COMMON | _FLOW | _PATHS | {"Seconds", "Timestamp", "SecondsPath", "TimestampPath"},
    "Choice": _COMMON | _PATHS | {"Choices", "Default", "Assign"},
    "Succeed": _COMMON | _PATHS,
    "Fail": _COMMON | {"Error", "ErrorPath", "Cause", "CausePath"},
}  # fmt: skip

JSONATA_FIELDS = {
    "Task": _COMMON | _FLOW | _WORK
    | {"Resource", "Arguments", "Output", "Credentials", "TimeoutSeconds", "HeartbeatSeconds"},
    "Parallel": _COMMON | _FLOW | _WORK | {"Branches", "Arguments", "Output"},
    "Map": _COMMON | _FLOW | _WORK | _TOLERATED
    | {"ItemProcessor", "Iterator", "Items", "ItemSelector", "MaxConcurrency", "Output"},
    "Pass": _COMMON | _FLOW | {"Output"},
    "Wait": _COMMON | _FLOW | {"Seconds", "Timestamp", "Output"},
    "Choice": _COMMON | {"Choices", "Default", "Assign", "Output"},
    "Succeed": _COMMON | {"Output"},
    "Fail": _COMMON | {"Error", "Cause"},
}  # fmt: skip

DISTRIBUTED = {"ItemReader", "ItemBatcher", "ResultWriter", "Label"}
"""Fields of a distributed Map alone."""
