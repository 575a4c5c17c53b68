"""Which resources a Task may name, and which parameters each takes.

Source of what AWS has: Step Functions Developer Guide, Integrating optimized services.
"""

import re

from .program import Resource
from .reader import Reader

__all__ = ["read_resource", "unrecognized"]

_FUNCTION = re.compile(r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:[\w.-]+(:[\w$.-]+)?")
_ACTIVITY = re.compile(r"arn:aws[a-z-]*:states:[a-z0-9-]+:\d{12}:activity:.+")
_INTEGRATION = re.compile(
    r"arn:aws[a-z-]*:states:(?:[a-z0-9-]+:\d{12}|:):(aws-sdk:)?([a-z0-9-]+):([A-Za-z]\w*)(\.sync(?::2)?|\.waitForTaskToken)?"
)

_PARAMETERS = {
    ("lambda", "invoke"): {"FunctionName", "Payload", "ClientContext", "InvocationType", "Qualifier",
                           "LogType"},
    ("sns", "publish"): {"TopicArn", "TargetArn", "PhoneNumber", "Message", "Subject", "MessageAttributes",
                         "MessageStructure", "MessageGroupId", "MessageDeduplicationId"},
    ("events", "putEvents"): {"Entries"},
    ("states", "startExecution"): {"StateMachineArn", "Input", "Name", "TraceHeader"},
    ("sagemaker", "createTrainingJob"): {
        "AlgorithmSpecification", "CheckpointConfig", "DebugHookConfig", "DebugRuleConfigurations",
        "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining", "EnableNetworkIsolation",
        "Environment", "ExperimentConfig", "HyperParameters", "InputDataConfig", "OutputDataConfig",
        "ProfilerConfig", "ProfilerRuleConfigurations", "ResourceConfig", "RetryStrategy", "RoleArn",
        "StoppingCondition", "Tags", "TensorBoardOutputConfig", "TrainingJobName", "VpcConfig"},
    ("sagemaker", "createTransformJob"): {
        "BatchStrategy", "DataProcessing", "Environment", "ExperimentConfig", "MaxConcurrentTransforms",
        "MaxPayloadInMB", "ModelClientConfig", "ModelName", "Tags", "TransformInput", "TransformJobName",
        "TransformOutput", "TransformResources"},
    ("sagemaker", "createProcessingJob"): {
        "AppSpecification", "Environment", "ExperimentConfig", "NetworkConfig", "ProcessingInputs",
        "ProcessingJobName", "ProcessingOutputConfig", "ProcessingResources", "RoleArn",
        "StoppingCondition", "Tags"},
    ("sagemaker", "createModel"): {"Containers", "EnableNetworkIsolation", "ExecutionRoleArn",
                                   "InferenceExecutionConfig", "ModelName", "PrimaryContainer", "Tags",
                                   "VpcConfig"},
    ("sagemaker", "createEndpointConfig"): {"AsyncInferenceConfig", "DataCaptureConfig",
                                            "EndpointConfigName", "ExplainerConfig", "KmsKeyId",
                                            "ProductionVariants", "ShadowProductionVariants", "Tags"},
    ("sagemaker", "createEndpoint"): {"DeploymentConfig", "EndpointConfigName", "EndpointName", "Tags"},
    ("sagemaker", "updateEndpoint"): {"DeploymentConfig", "EndpointConfigName", "EndpointName",
                                      "ExcludeRetainedVariantProperties", "RetainAllVariantProperties",
                                      "RetainDeploymentConfig"},
}  # fmt: skip

_REQUIRED = {
    ("lambda", "invoke"): ("FunctionName",),
    ("sns", "publish"): ("Message",),
    ("events", "putEvents"): ("Entries",),
    ("states", "startExecution"): ("StateMachineArn",),
}
_ELSEWHERE = {
    "apigateway": "invoke",
    "athena": "startQueryExecution stopQueryExecution getQueryExecution getQueryResults",
    "batch": "submitJob",
    "bedrock": "invokeModel createModelCustomizationJob",
    "codebuild": "startBuild stopBuild batchDeleteBuilds batchGetReports startBuildBatch stopBuildBatch"
    " retryBuildBatch deleteBuildBatch",
    "databrew": "startJobRun",
    "dynamodb": "getItem putItem deleteItem updateItem",
    "ecs": "runTask",
    "eks": "createCluster deleteCluster createNodegroup deleteNodegroup createFargateProfile"
    " deleteFargateProfile runJob call",
    "elasticmapreduce": "createCluster setClusterTerminationProtection terminateCluster addStep cancelStep"
    " modifyInstanceFleetByName modifyInstanceGroupByName",
    "emr-containers": "createVirtualCluster deleteVirtualCluster startJobRun",
    "emr-serverless": "createApplication startApplication stopApplication deleteApplication startJobRun"
    " cancelJobRun",
    "glue": "startJobRun",
    "http": "invoke",
    "mediaconvert": "createJob",
    "sagemaker": "createHyperParameterTuningJob createLabelingJob createProcessingJob",
    "sqs": "sendMessage",
}
"""What AWS integrates by service, and this cloud has not."""

_SDK_SERVICES = {"cloudwatchlogs", "eventbridge", "iam", "lambda", "s3", "sagemaker", "sagemakerruntime",
                 "sfn", "sns", "sts"}  # fmt: skip
_CALLBACK = {None, ".waitForTaskToken"}
_PATTERNS = {("states", "startExecution"): _CALLBACK | {".sync", ".sync:2"}}
_PATTERNS |= {key: {None} for key in _PARAMETERS if key[0] == "sagemaker"}
_PATTERNS |= {
    ("sagemaker", action): {None, ".sync"}
    for action in ("createProcessingJob", "createTrainingJob", "createTransformJob")
}


def read_resource(reader: Reader) -> Resource | None:
    """The Resource of a Task; None, and a diagnostic, where it is unknown or not here."""
    arn = reader.text("Resource")
    if arn is None:
        return None
    if _FUNCTION.fullmatch(arn):
        return Resource(arn=arn, service="lambda", action="")
    if _ACTIVITY.fullmatch(arn):
        return Resource(arn=arn, service="activity", action="")
    match = _INTEGRATION.fullmatch(arn)
    sdk, service, action, pattern = match.groups() if match else ("", "", "", "")
    here = service in _SDK_SERVICES if sdk else (service, action) in _PARAMETERS
    if match and not here and (sdk or action in _ELSEWHERE.get(service, "").split()):
        reader.unsupported(f"The service integration '{sdk or ''}{service}:{action}'", "Resource")
        return None
    if not here or pattern not in (_CALLBACK if sdk else _PATTERNS.get((service, action), _CALLBACK)):
        reader.wrong(unrecognized(arn), "Resource")
        return None
    if sdk:
        return Resource(arn=arn, service=f"aws-sdk:{service}", action=action + (pattern or ""))
    _check_parameters(reader, service, action)
    return Resource(arn=arn, service=service, action=action + (pattern or ""))


def unrecognized(arn: str) -> str:
    told = "The value is not a valid resource ARN, or the resource is not available in this region."
    return f"The resource provided {arn} is not recognized. {told}"


def _check_parameters(reader: Reader, service: str, action: str) -> None:
    value = reader.fields.get(reader.arguments, {})
    if reader.queried(reader.arguments):
        return
    if not isinstance(value, dict):
        reader.wrong("Expected value of type Object", reader.arguments)
        return
    names = {name.removesuffix(".$") for name in value}
    for name in sorted(names - _PARAMETERS[service, action]):
        reader.wrong(f'The field "{name}" is not supported by Step Functions', reader.arguments)
    for name in _REQUIRED.get((service, action), ()):
        if name not in names:
            reader.wrong(f"The field '{name}' is required but was missing", reader.arguments)
