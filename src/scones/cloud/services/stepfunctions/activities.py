"""Activities: places where executions leave tasks for workers outside, who ask for them."""

import asyncio

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Clock, Context, Wire

from .machines import read_tags
from .paging import decode_token, page
from .records import ActivityRow, check_name, parse_activity_arn
from .runner import Runner
from .store import Store
from .times import milliseconds, moment

__all__ = ["Activities"]

_POLL_S = 60.0
"""So long a worker's question is held."""


class Activities:
    def __init__(self, *, store: Store, runner: Runner, clock: Clock, poll_s: float = _POLL_S) -> None:
        self._store = store
        self._runner = runner
        self._clock = clock
        self._poll_s = poll_s

    def create_activity(self, request: Wire, context: Context) -> Wire:
        """Repeating a creation gives the activity that is there; tags do not count as different."""
        name = request["name"]
        check_name(name)
        tags = read_tags(request.get("tags", []))
        encryption = request.get("encryptionConfiguration", {})
        if encryption.get("type") == "CUSTOMER_MANAGED_KMS_KEY" and not encryption.get("kmsKeyId"):
            message = "Invalid Encryption Configuration: a customer managed key needs a kmsKeyId"
            raise ServiceError("InvalidEncryptionConfiguration", message)
        arn = f"arn:aws:states:{context.region}:{context.account_id}:activity:{name}"
        activity = self._store.activity(arn)
        if activity is None:
            now = milliseconds(self._clock.now())
            activity = self._store.add_activity(arn, name, now, encryption)
            self._store.put_activity_tags(activity.id, tags)
        elif activity.encryption != encryption:
            raise ServiceError("ActivityAlreadyExists", f"Activity Already Exists: '{arn}'")
        return {"activityArn": arn, "creationDate": moment(activity.created_ms)}

    def describe_activity(self, request: Wire, context: Context) -> Wire:
        activity = self._find(request["activityArn"])
        encryption = {"type": "AWS_OWNED_KEY"} | activity.encryption
        return _shown(activity) | {"encryptionConfiguration": encryption}

    def list_activities(self, request: Wire, context: Context) -> Wire:
        limit = request.get("maxResults") or 100
        rows = self._store.activities(decode_token(request, 0), limit + 1)
        return page("activities", rows, limit, _shown, lambda row: row.id)

    def delete_activity(self, request: Wire, context: Context) -> Wire:
        """Deleting what is not there succeeds. Tasks that wait for a worker go on waiting."""
        parse_activity_arn(request["activityArn"])
        self._store.delete_activity(request["activityArn"])
        return {}

    async def get_activity_task(self, request: Wire, context: Context) -> Wire:
        """Held until there is a task, or for a minute; a worker that has left is given none."""
        arn = self._find(request["activityArn"]).arn
        deadline = self._clock.monotonic() + self._poll_s
        gone = asyncio.ensure_future(context.gone())
        try:
            while not gone.done():
                if given := self._runner.take(arn, request.get("workerName")):
                    token, text = given
                    return {"taskToken": token, "input": text}
                left = deadline - self._clock.monotonic()
                if left <= 0:
                    break
                news = asyncio.ensure_future(self._runner.activity_news(arn).wait())
                await asyncio.wait({gone, news}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
        finally:
            gone.cancel()
        return {}

    def _find(self, arn: str) -> ActivityRow:
        parse_activity_arn(arn)
        activity = self._store.activity(arn)
        if activity is None:
            raise ServiceError("ActivityDoesNotExist", f"Activity Does Not Exist: '{arn}'")
        return activity


def _shown(activity: ActivityRow) -> Wire:
    return {
        "activityArn": activity.arn,
        "name": activity.name,
        "creationDate": moment(activity.created_ms),
    }
