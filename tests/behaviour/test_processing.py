"""Processing jobs as an unmodified boto3, awscli and state machine see them; and kill -9 of the whole cloud."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.dying import dying
from tests.stepfunctions import create, refusal, single, start, types, unique, until
from tests.stepfunctions import ended as execution_ended

from scones.client_env import client_environment
from scones.testing import LocalAWS

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
ROLE = "arn:aws:iam::000000000000:role/worker"
IN, OUT = "/opt/ml/processing/in", "/opt/ml/processing/out"
COPY = f"""
import os, shutil
for name in os.listdir("{IN}"):
    shutil.copy(os.path.join("{IN}", name), "{OUT}")
"""


def bring(uri: str, path: str, **more: str) -> dict[str, Any]:
    s3 = {"S3Uri": uri, "LocalPath": path, "S3DataType": "S3Prefix", "S3InputMode": "File"} | more
    return {"InputName": path.rpartition("/")[2], "S3Input": s3}


def store(uri: str, mode: str = "EndOfJob", path: str = OUT) -> dict[str, Any]:
    return {"OutputName": "out", "S3Output": {"S3Uri": uri, "LocalPath": path, "S3UploadMode": mode}}


class Bench:
    """A bucket of one test, and jobs over what lies there."""

    def __init__(self, cloud: Any) -> None:
        self.s3, self.sagemaker, self.logs = (cloud.client(name) for name in ("s3", "sagemaker", "logs"))
        self.bucket = unique("bucket")
        self.s3.create_bucket(Bucket=self.bucket)
        for name in "abc":
            self.put(f"data/{name}.txt", name)

    def put(self, key: str, text: str) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=text.encode())

    def request(self, script: str, mode: str = "EndOfJob", **members: Any) -> dict[str, Any]:
        """A job that runs a script over data/ into out/."""
        self.put("code/script.py", script)
        path = "/opt/ml/processing/code"
        return {
            "ProcessingJobName": unique("job"),
            "RoleArn": ROLE,
            "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["python3", f"{path}/script.py"]},
            "ProcessingResources": {
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
            },
            "ProcessingInputs": [
                bring(f"s3://{self.bucket}/code/", path),
                bring(f"s3://{self.bucket}/data/", IN),
            ],
            "ProcessingOutputConfig": {"Outputs": [store(f"s3://{self.bucket}/out", mode)]},
        } | members

    def begin(self, script: str, mode: str = "EndOfJob", **members: Any) -> str:
        request = self.request(script, mode, **members)
        self.sagemaker.create_processing_job(**request)
        return str(request["ProcessingJobName"])

    def ended(self, name: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.sagemaker.describe_processing_job(ProcessingJobName=name)
            return None if found["ProcessingJobStatus"] in ("InProgress", "Stopping") else found

        return until(look)

    def run(self, script: str, mode: str = "EndOfJob", **members: Any) -> dict[str, Any]:
        return self.ended(self.begin(script, mode, **members))

    def stored(self) -> dict[str, str]:
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix="out/").get("Contents", ())
        bodies = {item["Key"]: self.s3.get_object(Bucket=self.bucket, Key=item["Key"]) for item in found}
        return {key.removeprefix("out/"): got["Body"].read().decode() for key, got in bodies.items()}

    def lines(self, name: str, host: str = "algo-1") -> list[str]:
        group = "/aws/sagemaker/ProcessingJobs"
        try:
            found = self.logs.filter_log_events(logGroupName=group, logStreamNamePrefix=f"{name}/{host}-")
        except self.logs.exceptions.ResourceNotFoundException:
            return []
        return [event["message"] for event in found["events"]]


@pytest.fixture
def bench(aws: LocalAWS) -> Bench:
    return Bench(aws)


@pytest.fixture
def states(aws: LocalAWS) -> Any:
    return aws.client("stepfunctions")


def test_a_script_finds_its_inputs_at_opt_ml_and_its_outputs_go_to_s3(bench: Bench) -> None:
    request = bench.request(COPY, Tags=[{"Key": "who", "Value": "me"}])
    name = request["ProcessingJobName"]
    arn = bench.sagemaker.create_processing_job(**request)["ProcessingJobArn"]
    assert arn == f"arn:aws:sagemaker:us-east-1:000000000000:processing-job/{name}"
    bench.sagemaker.get_waiter("processing_job_completed_or_stopped").wait(
        ProcessingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    described = bench.sagemaker.describe_processing_job(ProcessingJobName=name)
    assert described["ProcessingJobStatus"] == "Completed"
    assert {member: described[member] for member in request if member != "Tags"} == {
        member: value for member, value in request.items() if member != "Tags"
    }
    assert described["StoppingCondition"] == {"MaxRuntimeInSeconds": 86_400}
    assert described["CreationTime"] <= described["ProcessingStartTime"] <= described["ProcessingEndTime"]
    assert bench.stored() == {"a.txt": "a", "b.txt": "b", "c.txt": "c"}
    assert bench.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "who", "Value": "me"}]


def test_a_script_gets_arguments_environment_and_the_job_s_configuration(bench: Bench) -> None:
    script = """
import json, os, sys
job = json.load(open("/opt/ml/config/processingjobconfig.json"))
print(json.dumps([sys.argv[1:], os.environ["COLOUR"], os.getcwd(), job]))
print(open("/opt/ml/config/resourceconfig.json").read())
"""
    request = bench.request(script, Environment={"COLOUR": "red"})
    request["AppSpecification"]["ContainerArguments"] = ["--ratio", "0.2"]
    bench.sagemaker.create_processing_job(**request)
    described = bench.ended(request["ProcessingJobName"])
    stand_in, first, second = bench.lines(request["ProcessingJobName"])
    assert IMAGE in stand_in
    arguments, colour, folder, job = json.loads(first)
    assert (arguments, colour, folder) == (["--ratio", "0.2"], "red", "/opt/ml")
    assert job == request | {"ProcessingJobArn": described["ProcessingJobArn"]}
    assert json.loads(second) == {"current_host": "algo-1", "hosts": ["algo-1"]}


def test_instances_share_what_is_sharded_and_all_have_the_rest(bench: Bench) -> None:
    script = f"""
import json, os
host = json.load(open("/opt/ml/config/resourceconfig.json"))["current_host"]
with open(f"{OUT}/{{host}}", "w") as file:
    file.write(",".join(sorted(os.listdir("{IN}"))))
open("/opt/ml/output/message", "w").write(host + ";")
"""
    request = bench.request(script)
    request["ProcessingResources"]["ClusterConfig"]["InstanceCount"] = 2
    request["ProcessingInputs"][1]["S3Input"]["S3DataDistributionType"] = "ShardedByS3Key"
    bench.sagemaker.create_processing_job(**request)
    described = bench.ended(request["ProcessingJobName"])
    assert described["ExitMessage"] == "algo-1;algo-2;"
    assert bench.stored() == {"algo-1": "a.txt,c.txt", "algo-2": "b.txt"}
    assert bench.lines(request["ProcessingJobName"], "algo-2")


def test_one_failing_instance_ends_the_others(bench: Bench) -> None:
    script = """
import json, sys, time
if json.load(open("/opt/ml/config/resourceconfig.json"))["current_host"] == "algo-2":
    sys.exit("no more")
time.sleep(600)
"""
    request = bench.request(script)
    request["ProcessingResources"]["ClusterConfig"]["InstanceCount"] = 2
    bench.sagemaker.create_processing_job(**request)
    described = bench.ended(request["ProcessingJobName"])
    assert described["FailureReason"] == "AlgorithmError: no more, exit code: 1"


def test_inputs_by_manifest_and_of_one_object(bench: Bench) -> None:
    bench.put("manifest", json.dumps([{"prefix": f"s3://{bench.bucket}/data/"}, "a.txt", "c.txt"]))
    manifest = bring(f"s3://{bench.bucket}/manifest", IN, S3DataType="ManifestFile")
    request = bench.request(COPY)
    code = bring(f"s3://{bench.bucket}/code/script.py", "/opt/ml/processing/code")
    request["ProcessingInputs"] = [code, manifest]
    bench.sagemaker.create_processing_job(**request)
    assert bench.ended(request["ProcessingJobName"])["ProcessingJobStatus"] == "Completed"
    assert bench.stored() == {"a.txt": "a", "c.txt": "c"}


def test_a_failed_script_stores_nothing_and_says_why(bench: Bench) -> None:
    script = f"""
open("{OUT}/half", "w").write("half")
open("/opt/ml/output/message", "w").write("the data is bad")
raise SystemExit(3)
"""
    described = bench.run(script)
    assert (described["ProcessingJobStatus"], described["ExitMessage"]) == ("Failed", "the data is bad")
    assert described["FailureReason"].endswith(", exit code: 3")
    assert bench.stored() == {}


def test_the_last_line_of_a_script_s_log_is_the_failure_reason(bench: Bench) -> None:
    described = bench.run("import no_such_package")
    assert described["FailureReason"] == (
        "AlgorithmError: ModuleNotFoundError: No module named 'no_such_package', exit code: 1"
    )
    assert "ExitMessage" not in described


@pytest.mark.parametrize(
    ("message", "status", "expected"),
    [
        (b"x" * 5000, "Completed", "x" * 1024),
        ("é".encode() * 600 + b"x", "Completed", "é" * 512),
        (b"x" + "é".encode() * 600, "Completed", "x" + "é" * 511),
        (b"\xff\xfe", "Failed", None),
    ],
    ids=["long", "fits", "cut within a character", "no UTF-8"],
)
def test_exit_messages_are_cut_off_and_must_be_utf_8(
    bench: Bench, message: bytes, status: str, expected: str | None
) -> None:
    described = bench.run(f'open("/opt/ml/output/message", "wb").write({message!r})')
    assert (described["ProcessingJobStatus"], described.get("ExitMessage")) == (status, expected)
    if status == "Failed":
        assert described["FailureReason"].startswith("ClientError: /opt/ml/output/message")


def test_an_entrypoint_that_is_not_there_is_the_failure(bench: Bench) -> None:
    specification = {"ImageUri": IMAGE, "ContainerEntrypoint": ["no-such-program"]}
    described = bench.run("", AppSpecification=specification)
    assert described["FailureReason"] == (
        "AlgorithmError: no-such-program: there is no such program, exit code: 127"
    )


@pytest.mark.parametrize(
    ("key", "reason"), [("../evil", "no safe file name"), (None, "no S3 objects found under s3://")]
)
def test_inputs_that_cannot_be_had_fail_the_job(bench: Bench, key: str | None, reason: str) -> None:
    if key:
        bench.put(f"wrong/{key}", "x")
    request = bench.request(COPY)
    request["ProcessingInputs"].append(bring(f"s3://{bench.bucket}/wrong/", "/opt/ml/processing/wrong"))
    bench.sagemaker.create_processing_job(**request)
    described = bench.ended(request["ProcessingJobName"])
    assert described["FailureReason"].startswith("ClientError: Data download failed: ")
    assert reason in described["FailureReason"]


def test_symbolic_links_are_not_followed_when_outputs_are_stored(bench: Bench) -> None:
    script = f"""
import os
os.symlink("/etc/hostname", "{OUT}/link")
os.symlink("/etc", "{OUT}/folder")
open("{OUT}/file", "w").write("file")
"""
    assert bench.run(script)["ProcessingJobStatus"] == "Completed"
    assert bench.stored() == {"file": "file"}


def test_an_output_that_cannot_be_stored_fails_the_job(bench: Bench) -> None:
    request = bench.request(COPY)
    request["ProcessingOutputConfig"]["Outputs"] = [store("s3://no-such-bucket-here/out")]
    bench.sagemaker.create_processing_job(**request)
    described = bench.ended(request["ProcessingJobName"])
    assert described["FailureReason"].startswith("ClientError: Data upload failed: s3://no-such-bucket-here/")


def test_continuous_outputs_are_there_while_the_job_runs(bench: Bench) -> None:
    script = f"""
import time
open("{OUT}/early", "w").write("early")
while True:
    time.sleep(0.05)
"""
    name = bench.begin(script, "Continuous")
    until(lambda: bench.stored() == {"early": "early"})
    assert (
        bench.sagemaker.describe_processing_job(ProcessingJobName=name)["ProcessingJobStatus"] == "InProgress"
    )
    bench.sagemaker.stop_processing_job(ProcessingJobName=name)
    assert bench.ended(name)["ProcessingJobStatus"] == "Stopped"


def test_a_stopped_job_may_tidy_up(bench: Bench) -> None:
    script = f"""
import signal, sys, time
def end(*_):
    open("{OUT}/last", "w").write("last")
    open("/opt/ml/output/message", "w").write("stopped in order")
    sys.exit(1)
signal.signal(signal.SIGTERM, end)
print("ready")
while True:
    time.sleep(0.05)
"""
    name = bench.begin(script, "Continuous")
    until(lambda: "ready" in bench.lines(name))
    bench.sagemaker.stop_processing_job(ProcessingJobName=name)
    described = bench.ended(name)
    assert (described["ProcessingJobStatus"], described["ExitMessage"]) == ("Stopped", "stopped in order")
    assert "FailureReason" not in described
    assert bench.stored() == {"last": "last"}
    code, message = refusal(bench.sagemaker.stop_processing_job, ProcessingJobName=name)
    assert (code, "Stopped" in message) == ("ValidationException", True)


def test_a_job_is_stopped_when_its_time_is_over(bench: Bench) -> None:
    described = bench.run("import time; time.sleep(600)", StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert described["ProcessingJobStatus"] == "Stopped"


def test_what_pip_installs_stays_with_the_job(bench: Bench) -> None:
    script = f"""
import os, subprocess, sys
source = "/opt/ml/processing/source"
os.makedirs(source)
open(source + "/setup.py", "w").write("from setuptools import setup; setup(name='oddity', py_modules=['oddity'])")
open(source + "/oddity.py", "w").write("WORD = 'odd'")
subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-build-isolation", source], check=True)
word = subprocess.run([sys.executable, "-c", "import oddity; print(oddity.WORD)"], capture_output=True).stdout
open("{OUT}/word", "wb").write(word)
"""
    assert bench.run(script)["ProcessingJobStatus"] == "Completed"
    assert bench.stored() == {"word": "odd\n"}
    found = subprocess.run([sys.executable, "-c", "import oddity"], capture_output=True)
    assert found.returncode == 1


def test_jobs_are_listed_described_and_deleted(bench: Bench) -> None:
    name = bench.begin(COPY)
    bench.ended(name)
    other = bench.begin("import time; time.sleep(600)")
    (summary,) = bench.sagemaker.list_processing_jobs(NameContains=name[4:])["ProcessingJobSummaries"]
    assert (summary["ProcessingJobName"], summary["ProcessingJobStatus"]) == (name, "Completed")
    page = bench.sagemaker.list_processing_jobs(
        MaxResults=1, SortBy="CreationTime", SortOrder="Descending", StatusEquals="InProgress"
    )
    assert page["ProcessingJobSummaries"][0]["ProcessingJobName"] == other
    assert refusal(bench.sagemaker.delete_processing_job, ProcessingJobName=other)[0] == "ResourceInUse"
    again = bench.request(COPY, ProcessingJobName=name)
    assert refusal(bench.sagemaker.create_processing_job, **again)[0] == "ResourceInUse"
    bench.sagemaker.delete_processing_job(ProcessingJobName=name)
    code, message = refusal(bench.sagemaker.describe_processing_job, ProcessingJobName=name)
    assert (code, message) == ("ValidationException", f"Could not find requested job with name: {name}")
    bench.sagemaker.create_processing_job(**again)
    assert bench.ended(name)["ProcessingJobStatus"] == "Completed"
    bench.sagemaker.stop_processing_job(ProcessingJobName=other)
    bench.ended(other)


def _changed(request: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    at: Any = request
    *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
    for step in steps:
        at = at[step]
    at[last] = value
    return request


@pytest.mark.parametrize(
    ("path", "value", "word"),
    [
        ("AppSpecification.ImageUri", "example.com/unheard:1", "example.com/unheard:1"),
        ("AppSpecification", {"ImageUri": IMAGE}, "ContainerEntrypoint"),
        ("ProcessingInputs.0.S3Input.LocalPath", "/tmp/code", "/opt/ml/processing/"),
        ("ProcessingInputs.0.S3Input.LocalPath", "/opt/ml/processing/../model", "/opt/ml/processing/"),
        ("ProcessingInputs.0.S3Input.LocalPath", "/opt/ml/processing/", "/opt/ml/processing/"),
        ("ProcessingInputs.0.S3Input.S3InputMode", "Pipe", "S3InputMode Pipe"),
        ("ProcessingInputs.0.S3Input.S3CompressionType", "Gzip", "S3CompressionType Gzip"),
        ("ProcessingInputs.0.S3Input.S3Uri", "https://bucket/code", "s3://bucket/key"),
        ("ProcessingInputs.1.InputName", "code", "unique"),
        ("ProcessingInputs.0", {"InputName": "x"}, "S3Input"),
        ("ProcessingInputs.0", {"InputName": "x", "DatasetDefinition": {}}, "DatasetDefinition"),
        ("ProcessingOutputConfig.Outputs.0.S3Output.LocalPath", "/opt/ml/model", "/opt/ml/processing/"),
        (
            "ProcessingOutputConfig.Outputs.0",
            {"OutputName": "x", "FeatureStoreOutput": {"FeatureGroupName": "x"}},
            "FeatureStoreOutput",
        ),
        ("ProcessingOutputConfig.Outputs.0", {"OutputName": "x"}, "S3Output"),
        ("NetworkConfig", {"EnableNetworkIsolation": True}, "EnableNetworkIsolation"),
        ("ExperimentConfig", {"ExperimentName": "x"}, "ExperimentConfig"),
        ("Environment", {"A": "\0"}, "NUL"),
        ("AppSpecification.ContainerArguments", ["\0"], "NUL"),
        ("ProcessingResources.ClusterConfig.InstanceCount", 5, "at most 4"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(bench: Bench, path: str, value: Any, word: str) -> None:
    request = _changed(bench.request(COPY), path, value)
    code, message = refusal(bench.sagemaker.create_processing_job, **request)
    assert code in ("ValidationException", "ResourceLimitExceeded")
    assert word in message
    assert refusal(bench.sagemaker.describe_processing_job, ProcessingJobName=request["ProcessingJobName"])[
        0
    ] == ("ValidationException")


def test_what_a_job_manages_itself_is_left_to_it(bench: Bench) -> None:
    request = bench.request(COPY)
    request["ProcessingInputs"].append(
        {"InputName": "own", "AppManaged": True}
        | {"S3Input": {"S3Uri": f"s3://{bench.bucket}/nothing", "S3DataType": "S3Prefix"}}
    )
    request["ProcessingOutputConfig"]["Outputs"].append(
        {"OutputName": "own", "AppManaged": True}
        | {"S3Output": {"S3Uri": f"s3://{bench.bucket}/nothing", "S3UploadMode": "EndOfJob"}}
    )
    bench.sagemaker.create_processing_job(**request)
    assert bench.ended(request["ProcessingJobName"])["ProcessingJobStatus"] == "Completed"


def test_eventbridge_is_told_of_every_status(aws: LocalAWS, bench: Bench, states: Any) -> None:
    events, request = aws.client("events"), bench.request(COPY)
    name = request["ProcessingJobName"]
    machine = create(states, single({"Type": "Pass"}))
    pattern = {
        "detail-type": ["SageMaker Processing Job State Change"],
        "detail": {"ProcessingJobName": [name]},
    }
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "t", "Arn": machine, "RoleArn": ROLE}])
    bench.sagemaker.create_processing_job(**request)

    def told() -> list[Any] | None:
        runs = states.list_executions(stateMachineArn=machine)["executions"]
        inputs = [states.describe_execution(executionArn=run["executionArn"])["input"] for run in runs]
        return [json.loads(text) for text in inputs] if len(runs) == 2 else None

    statuses = {event["detail"]["ProcessingJobStatus"] for event in until(told)}
    assert statuses == {"InProgress", "Completed"}


def test_awscli_processes(aws: LocalAWS, bench: Bench, tmp_path: Path) -> None:
    request = bench.request(COPY)
    name = request["ProcessingJobName"]
    (tmp_path / "job.json").write_text(json.dumps(request))
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)} | client_environment(
        aws.url, region="us-east-1", account_id="000000000000"
    )

    def call(*arguments: str) -> str:
        command = [str(Path(sys.executable).parent / "aws"), "sagemaker", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    call("create-processing-job", "--cli-input-json", f"file://{tmp_path / 'job.json'}")
    bench.ended(name)  # awscli itself looks only once a minute
    call("wait", "processing-job-completed-or-stopped", "--processing-job-name", name)
    assert (
        json.loads(call("describe-processing-job", "--processing-job-name", name))["ProcessingJobStatus"]
        == "Completed"
    )


def test_a_task_waits_for_its_processing_job(bench: Bench, states: Any) -> None:
    request = bench.request(COPY)
    name = request["ProcessingJobName"]
    task = {"Type": "Task", "Resource": "arn:aws:states:::sagemaker:createProcessingJob.sync"}
    execution = execution_ended(states, start(states, create(states, single(task | {"Parameters": request}))))
    output = json.loads(execution["output"])
    assert (output["ProcessingJobName"], output["ProcessingJobStatus"]) == (name, "Completed")
    described = bench.sagemaker.describe_processing_job(ProcessingJobName=name)
    assert output["ProcessingEndTime"] == round(described["ProcessingEndTime"].timestamp() * 1000)
    tags = bench.sagemaker.list_tags(ResourceArn=described["ProcessingJobArn"])["Tags"]
    assert tags == [{"Key": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"}]


def test_a_task_does_not_wait_or_fails_with_its_processing_job(bench: Bench, states: Any) -> None:
    request = bench.request(COPY)

    def run(pattern: str, parameters: dict[str, Any]) -> dict[str, Any]:
        task = {"Type": "Task", "Resource": f"arn:aws:states:::sagemaker:createProcessingJob{pattern}"}
        machine = create(states, single(task | {"Parameters": parameters}))
        return execution_ended(states, start(states, machine))

    output = json.loads(run("", request)["output"])
    assert output["ProcessingJobArn"].endswith(f"/{request['ProcessingJobName']}")
    execution = run(".sync", request)
    assert execution["error"] == "SageMaker.ResourceInUseException"
    execution = run(".sync", bench.request("raise SystemExit('bad')"))
    assert (execution["status"], execution["error"]) == ("FAILED", "States.TaskFailed")
    assert json.loads(execution["cause"])["FailureReason"] == "AlgorithmError: bad, exit code: 1"


def test_stopping_the_execution_stops_the_processing_job(bench: Bench, states: Any) -> None:
    request = bench.request("import time; time.sleep(600)")
    task = {"Type": "Task", "Resource": "arn:aws:states:::sagemaker:createProcessingJob.sync"}
    arn = start(states, create(states, single(task | {"Parameters": request})))
    until(lambda: "TaskSubmitted" in types(states, arn))
    states.stop_execution(executionArn=arn)
    assert bench.ended(request["ProcessingJobName"])["ProcessingJobStatus"] == "Stopped"


@pytest.mark.parametrize("point", ["brought", "started", "processed", "stored"])
def test_after_kill_9_a_job_is_completed(tmp_path: Path, point: str) -> None:
    """What has run to its end is not run again."""
    script = f"""
import os, uuid
open("{OUT}/" + uuid.uuid4().hex, "w").close()
{COPY}
"""
    with dying(tmp_path, f"sagemaker.processing.{point}") as cloud:
        doomed = Bench(cloud)
        name = doomed.begin(script)
        bucket = doomed.bucket
    with LocalAWS(tmp_path) as aws:
        bench = Bench(aws)
        bench.bucket = bucket
        assert bench.ended(name)["ProcessingJobStatus"] == "Completed"
        stored = bench.stored()
        assert len(stored) == 4
        assert {key: text for key, text in stored.items() if text} == {
            "a.txt": "a",
            "b.txt": "b",
            "c.txt": "c",
        }
    assert not list((tmp_path / "sagemaker" / "processing").iterdir())


def test_after_kill_9_a_job_that_was_to_stop_is_stopped(tmp_path: Path) -> None:
    with dying(tmp_path, "sagemaker.processing.started:2") as cloud:
        doomed = Bench(cloud)
        first = doomed.begin(
            "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
        )
        until(lambda: len(doomed.lines(first)) > 0)
        doomed.sagemaker.stop_processing_job(ProcessingJobName=first)
        doomed.begin(COPY)
    with LocalAWS(tmp_path) as aws:
        assert Bench(aws).ended(first)["ProcessingJobStatus"] == "Stopped"


def test_after_kill_9_a_task_waits_on_for_the_job_that_it_began(tmp_path: Path) -> None:
    with dying(tmp_path, "sagemaker.processing.started") as cloud:
        doomed = Bench(cloud)
        request = doomed.request(COPY)
        task = {"Type": "Task", "Resource": "arn:aws:states:::sagemaker:createProcessingJob.sync"}
        states = cloud.client("stepfunctions")
        arn = start(states, create(states, single(task | {"Parameters": request})))
    with LocalAWS(tmp_path) as aws:
        execution = execution_ended(aws.client("stepfunctions"), arn)
        assert execution["status"] == "SUCCEEDED"
        assert json.loads(execution["output"])["ProcessingJobName"] == request["ProcessingJobName"]
        bench = Bench(aws)
        bench.bucket = doomed.bucket
        assert set(bench.stored()) == {"a.txt", "b.txt", "c.txt"}
        assert len(bench.sagemaker.list_processing_jobs()["ProcessingJobSummaries"]) == 1


def test_an_image_of_one_s_own_is_a_folder_with_its_entrypoint(tmp_path: Path) -> None:
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "__main__.py").write_text(
        f"import sys\nopen('{OUT}/arguments', 'w').write(' '.join(sys.argv[1:]))\n"
    )
    image = "000000000000.dkr.ecr.us-east-1.amazonaws.com/mine:3"
    with LocalAWS(tmp_path / "state", algorithms={image: folder}) as aws:
        bench = Bench(aws)
        specification = {"ImageUri": image, "ContainerArguments": ["--wheels", "2"]}
        described = bench.run("", AppSpecification=specification)
        assert described["ProcessingJobStatus"] == "Completed"
        assert bench.stored() == {"arguments": "--wheels 2"}
        assert not any("stand in" in line for line in bench.lines(described["ProcessingJobName"]))


def test_a_name_may_be_used_again_at_once(bench: Bench) -> None:
    """The old job's folder, with many files, is still being removed when the new one is created."""
    script = f"""
for number in range(3000):
    open(f"/opt/ml/processing/in/{{number}}", "w").close()
open("{OUT}/done", "w").close()
"""
    request = bench.request(script)
    for _ in range(3):
        bench.sagemaker.create_processing_job(**request)
        assert bench.ended(request["ProcessingJobName"])["ProcessingJobStatus"] == "Completed"
        bench.sagemaker.delete_processing_job(ProcessingJobName=request["ProcessingJobName"])
    bench.sagemaker.create_processing_job(**request)
    bench.sagemaker.stop_processing_job(ProcessingJobName=request["ProcessingJobName"])
    assert bench.ended(request["ProcessingJobName"])["ProcessingJobStatus"] == "Stopped"
