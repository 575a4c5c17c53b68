"""Operations on functions, their code, their configuration and their versions."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from scones.cloud.ports import Clock, Context, Ids, Spawn, Wire
from scones.cloud.services.lambda_ import configuration
from scones.cloud.services.lambda_.codes import Codes, Package
from scones.cloud.services.lambda_.errors import conflict, invalid, not_found, precondition_failed
from scones.cloud.services.lambda_.names import LATEST, FunctionName, Place
from scones.cloud.services.lambda_.records import State, UpdateStatus, Version, moved, timestamp
from scones.cloud.services.lambda_.runner import Runner
from scones.cloud.services.lambda_.store import Store
from scones.cloud.state.db import Database

__all__ = ["Functions"]

_PAGE = 50
_NAME_LENGTH = 64


class Functions:
    def __init__(
        self,
        *,
        db: Database,
        store: Store,
        codes: Codes,
        runner: Runner,
        place: Place,
        clock: Clock,
        ids: Ids,
        spawn: Spawn,
    ) -> None:
        self._db = db
        self._store = store
        self._codes = codes
        self._runner = runner
        self._place = place
        self._clock = clock
        self._ids = ids
        self._spawn = spawn

    # create, change, delete

    async def create_function(self, request: Wire, context: Context) -> Wire:
        """Unpack and check the code, then record the function as Pending; it is Active a moment later."""
        name = self._new_name(request["FunctionName"])
        chosen = configuration.created(request, name=name)
        if self._store.function(name):
            raise _exists(name)
        async with self._received(name, request["Code"]) as package:
            with self._db.transaction():
                if self._store.function(name):
                    raise _exists(name)
                self._store.add_function(name, tags=request.get("Tags", {}))
                latest = Version(
                    function=name,
                    version=LATEST,
                    state=State.PENDING,
                    update_status=UpdateStatus.SUCCESSFUL,
                    revision_id=self._ids.uuid(),
                    generation=self._ids.token(16),
                    modified=timestamp(self._clock.now()),
                    code=package.code,
                    code_size=package.size,
                    configuration=chosen,
                )
                self._save(latest)
                shown = self._publish(latest) if request.get("Publish") else latest
        return shown.describe(self._place)

    async def update_function_code(self, request: Wire, context: Context) -> Wire:
        """New workers get the new code; running ones finish with the old."""
        named = self._place.parse(request["FunctionName"])
        _only_latest(named)
        self._matching(self._latest(named.name), request)
        if request.get("PublishTo"):
            raise invalid("PublishTo not supported here")
        async with self._received(named.name, request) as package:
            with self._db.transaction():
                latest = self._latest(named.name)
                self._matching(latest, request)
                changed = self._changed(latest, package=package)
                if request.get("Architectures"):
                    chosen = changed.configuration | {"Architectures": request["Architectures"]}
                    changed = replace(changed, configuration=chosen)
                if request.get("DryRun"):
                    return changed.describe(self._place)
                self._save(changed)
                shown = self._publish(changed) if request.get("Publish") else changed
        return shown.describe(self._place)

    def update_function_configuration(self, request: Wire, context: Context) -> Wire:
        named = self._place.parse(request["FunctionName"])
        _only_latest(named)
        latest = self._latest(named.name)
        self._matching(latest, request)
        chosen = configuration.updated(latest.configuration, request)
        changed = replace(self._changed(latest), configuration=chosen)
        self._save(changed)
        return changed.describe(self._place)

    def delete_function(self, request: Wire, context: Context) -> Wire:
        named = self._place.parse(request["FunctionName"], request.get("Qualifier", ""))
        version = self.version(named)
        if named.qualifier == LATEST:
            raise invalid("$LATEST version cannot be deleted without deleting the function.")
        if named.qualifier:
            self._store.delete_version(named.name, version.version)
            self._db.after_commit(lambda: self._runner.retire(named.name, version.version))
        else:
            self._store.delete_function(named.name)
            self._db.after_commit(lambda: self._runner.retire(named.name))
        self._db.after_commit(lambda: self._codes_changed(named.name))
        return {"StatusCode": 204}

    def publish_version(self, request: Wire, context: Context) -> Wire:
        """A numbered copy of $LATEST; the last one when nothing changed since."""
        named = self._place.parse(request["FunctionName"])
        latest = self._latest(named.name)
        self._matching(latest, request)
        if (sha := request.get("CodeSha256")) and sha != latest.code_sha256:
            raise invalid(
                f"CodeSHA256 ({sha}) is different from current CodeSHA256 in $LATEST ({latest.code_sha256})."
                " Please try again with the CodeSHA256 in $LATEST."
            )
        if request.get("PublishTo"):
            raise invalid("PublishTo not supported here")
        return self._publish(latest, request.get("Description")).describe(self._place)

    # read

    def get_function(self, request: Wire, context: Context) -> Wire:
        named = self._place.parse(request["FunctionName"], request.get("Qualifier", ""))
        version = self.version(named)
        row = self._store.function(named.name)
        assert row is not None
        reply: Wire = {
            "Configuration": version.describe(self._place, qualified=bool(named.qualifier)),
            "Code": {"RepositoryType": "S3"},  # without a Location: the archive is not kept, only its files
        }
        if tags := self._store.tags(row):
            reply["Tags"] = tags
        if row["reserved_concurrency"] is not None:
            reply["Concurrency"] = {"ReservedConcurrentExecutions": row["reserved_concurrency"]}
        return reply

    def get_function_configuration(self, request: Wire, context: Context) -> Wire:
        named = self._place.parse(request["FunctionName"], request.get("Qualifier", ""))
        return self.version(named).describe(self._place, qualified=bool(named.qualifier))

    def list_functions(self, request: Wire, context: Context) -> Wire:
        limit = min(request.get("MaxItems", _PAGE), _PAGE)
        name, number = _after(request.get("Marker", ""))
        if request.get("FunctionVersion") == "ALL":
            found = self._store.every_version(after=(name, number), limit=limit + 1)
        else:
            found = self._store.latest_versions(after=name, limit=limit + 1)
        qualified = request.get("FunctionVersion") == "ALL"
        page = [version.describe(self._place, qualified=qualified) for version in found[:limit]]
        reply: Wire = {"Functions": page}
        if len(found) > limit:
            reply["NextMarker"] = _marker(found[limit - 1])
        return reply

    def list_versions_by_function(self, request: Wire, context: Context) -> Wire:
        named = self._place.parse(request["FunctionName"])
        self._latest(named.name)
        limit = min(request.get("MaxItems", _PAGE), _PAGE)
        _, number = _after(request.get("Marker", ""))
        found = self._store.versions(named.name, after=number, limit=limit + 1)
        reply: Wire = {"Versions": [v.describe(self._place, qualified=True) for v in found[:limit]]}
        if len(found) > limit:
            reply["NextMarker"] = _marker(found[limit - 1])
        return reply

    # shared

    def version(self, named: FunctionName) -> Version:
        found = self._store.version(named.name, named.version)
        if found is None:
            raise not_found(f"Function not found: {self._place.arn(named.name, named.qualifier)}")
        return found

    def settle(self) -> None:
        """Finish what was committed as Pending or InProgress: its code is unpacked already."""
        with self._db.transaction():
            for version in self._store.unsettled():
                self._store.save_version(
                    replace(
                        version,
                        state=moved(version.state, State.ACTIVE),
                        update_status=moved(version.update_status, UpdateStatus.SUCCESSFUL),
                    )
                )

    async def _settle_soon(self) -> None:
        self.settle()

    def _latest(self, name: str) -> Version:
        return self.version(FunctionName(name=name, qualifier=""))

    def _new_name(self, given: str) -> str:
        named = self._place.parse(given)
        _only_latest(named)
        if len(named.name) > _NAME_LENGTH:
            raise invalid(
                f"1 validation error detected: Value '{named.name}' at 'functionName' failed to satisfy"
                f" constraint: Member must have length less than or equal to {_NAME_LENGTH}"
            )
        return named.name

    def _matching(self, latest: Version, request: Wire) -> None:
        if request.get("RevisionId") and request["RevisionId"] != latest.revision_id:
            raise precondition_failed()

    def _changed(self, latest: Version, *, package: Package | None = None) -> Version:
        """$LATEST with a new revision and generation, its update in progress."""
        return replace(
            latest,
            update_status=moved(latest.update_status, UpdateStatus.IN_PROGRESS),
            revision_id=self._ids.uuid(),
            generation=self._ids.token(16),
            modified=timestamp(self._clock.now()),
            code=package.code if package else latest.code,
            code_size=package.size if package else latest.code_size,
        )

    def _save(self, latest: Version) -> None:
        """Record $LATEST; once that is durable, outdated workers retire and the update is done."""
        self._store.save_version(latest)

        def committed() -> None:
            self._runner.retire(latest.function, LATEST)
            self._spawn(self._settle_soon(), name="lambda settle")

        self._db.after_commit(committed)

    def _publish(self, latest: Version, description: str | None = None) -> Version:
        chosen = latest.configuration
        if description is not None:
            chosen = chosen | {"Description": description}
        last = self._store.last_published(latest.function)
        if last and last.code == latest.code and last.configuration == chosen:
            return last
        published = replace(
            latest,
            version=str(self._store.next_version(latest.function)),
            configuration=chosen,
            revision_id=self._ids.uuid(),
            generation=self._ids.token(16),
            state=State.ACTIVE,
            update_status=UpdateStatus.SUCCESSFUL,
        )
        self._store.save_version(published)
        return published

    @asynccontextmanager
    async def _received(self, name: str, source: Wire) -> AsyncIterator[Package]:
        """Code in its folder; when the block ends, what no version names is deleted."""
        try:
            async with self._codes.received(name, source) as package:
                yield package
        finally:
            self._codes_changed(name)

    def _codes_changed(self, name: str) -> None:
        self._codes.collect(name, self._store.codes(name))


def _only_latest(named: FunctionName) -> None:
    if named.qualifier not in ("", LATEST):
        raise invalid(f"Only $LATEST can be changed, not {named.qualifier}")


def _marker(version: Version) -> str:
    return f"{version.function}:{0 if version.version == LATEST else version.version}"


def _after(marker: str) -> tuple[str, int]:
    """Function and version number behind which the next page begins."""
    if not marker:
        return "", -1
    name, _, number = marker.partition(":")
    if not re.fullmatch(r"[0-9]{1,18}", number):
        raise invalid("The Marker is not valid")
    return name, int(number)


def _exists(name: str) -> Exception:
    return conflict(f"Function already exist: {name}")
