"""A Lambda function that keeps what it is invoked with."""

import io
import json
import zipfile
from typing import Any

from tests.asking import unique

from scones.testing import LocalAWS

__all__ = ["Keeper"]

_SOURCE = """
import json, os
import boto3

def lambda_handler(event, context):
    key = context.aws_request_id
    boto3.client("s3").put_object(Bucket=os.environ["BUCKET"], Key=key, Body=json.dumps(event).encode())
"""


class Keeper:
    def __init__(self, aws: LocalAWS) -> None:
        self._s3, self._functions = aws.client("s3"), aws.client("lambda")
        self._bucket = unique("bucket")
        self._s3.create_bucket(Bucket=self._bucket)
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("keeper.py", _SOURCE)
        self.arn: str = self._functions.create_function(
            FunctionName=unique("keeper"),
            Runtime="python3.12",
            Handler="keeper.lambda_handler",
            Role="arn:aws:iam::000000000000:role/service-role/AmazonSageMaker-ExecutionRole",
            Code={"ZipFile": code.getvalue()},
            Timeout=30,
            Environment={"Variables": {"BUCKET": self._bucket}},
        )["FunctionArn"]
        waiter = self._functions.get_waiter("function_active_v2")
        waiter.wait(FunctionName=self.arn, WaiterConfig={"Delay": 1})

    def events(self) -> list[Any]:
        """Those of the invocations so far."""
        kept = self._s3.list_objects_v2(Bucket=self._bucket).get("Contents", [])
        bodies = (self._s3.get_object(Bucket=self._bucket, Key=entry["Key"])["Body"] for entry in kept)
        return [json.loads(body.read()) for body in bodies]

    def close(self) -> None:
        self._functions.delete_function(FunctionName=self.arn)
