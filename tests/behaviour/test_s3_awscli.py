"""The AWS command line, as people have it, against the local cloud's S3."""

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

from scones.testing import LocalAWS


class AwsCli:
    def __init__(self, url: str, home: Path) -> None:
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "HOME": str(home),
        }

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, str(Path(sys.executable).with_name("aws")), *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"aws {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def test_the_command_line_copies_syncs_lists_and_removes(aws: LocalAWS, tmp_path: Path) -> None:
    cli = AwsCli(aws.url, tmp_path)
    bucket = f"s3://shelf-{uuid.uuid4().hex}"
    folder, back = tmp_path / "folder", tmp_path / "back"
    (folder / "sub dir").mkdir(parents=True)
    (folder / "é +.txt").write_text("one")
    (folder / "sub dir" / "two.bin").write_bytes(bytes(9 * 1024 * 1024))  # beyond one part
    for file in folder.rglob("*.*"):  # S3 tells whole seconds: a file of the same one would seem newer
        os.utime(file, (0, time.time() - 60))
    cli("s3", "mb", bucket)
    cli("s3", "sync", str(folder), bucket)
    assert "PRE sub dir/" in cli("s3", "ls", f"{bucket}/")
    assert cli("s3", "sync", str(folder), bucket) == ""  # nothing is newer or of another size
    cli("s3", "sync", bucket, str(back))
    assert (back / "é +.txt").read_text() == "one"
    assert (back / "sub dir" / "two.bin").read_bytes() == bytes(9 * 1024 * 1024)
    cli("s3", "cp", f"{bucket}/é +.txt", f"{bucket}/copy.txt")
    head = json.loads(cli("s3api", "head-object", "--bucket", bucket[5:], "--key", "copy.txt"))
    assert (head["ContentLength"], head["ContentType"]) == (3, "text/plain")
    cli("s3", "rb", "--force", bucket)
    assert bucket[5:] not in cli("s3", "ls")
