"""Operations on rules: which events of a bus go on to the rule's targets."""

from collections.abc import Callable
from dataclasses import replace

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Clock, Context, Wire
from scones.cloud.services.events.buses import page_limit, tags_of
from scones.cloud.services.events.names import DEFAULT_BUS, Names, invalid
from scones.cloud.services.events.patterns import Pattern, PatternError, compile_pattern
from scones.cloud.services.events.records import Rule
from scones.cloud.services.events.scheduler import due_after
from scones.cloud.services.events.schedules import ScheduleError, compile_schedule
from scones.cloud.services.events.store import Store

__all__ = ["Rules", "checked_pattern"]


def checked_pattern(text: str) -> Pattern:
    try:
        return compile_pattern(text)
    except PatternError as problem:
        reason = f"Event pattern is not valid. Reason: {problem}"
        raise ServiceError("InvalidEventPatternException", reason) from None


class Rules:
    """rescheduled: wakes the scheduler once the transaction is durable."""

    def __init__(self, *, store: Store, names: Names, clock: Clock, rescheduled: Callable[[], None]) -> None:
        self._store = store
        self._names = names
        self._clock = clock
        self._rescheduled = rescheduled

    def put_rule(self, request: Wire, context: Context) -> Wire:
        """Make the rule, or replace all of it but its tags and targets."""
        bus, name = self._names.bus(request.get("EventBusName")), request["Name"]
        pattern, schedule = request.get("EventPattern"), request.get("ScheduleExpression")
        if not pattern and not schedule:
            raise invalid("Parameter(s) EventPattern or ScheduleExpression must be specified.")
        if schedule:
            _check_schedule(schedule, bus.name)
        if pattern:
            checked_pattern(pattern)
        before = self._store.rule(bus.name, name)
        rule = Rule(
            bus=bus.name,
            name=name,
            pattern=pattern or None,
            schedule=schedule or None,
            due=None,
            state=request.get("State", "ENABLED"),
            description=request.get("Description"),
            role_arn=request.get("RoleArn"),
            tags=tags_of({}, request.get("Tags", [])) if before is None else before.tags,
        )
        self._keep(rule)
        return {"RuleArn": self._names.rule_arn(bus.name, name)}

    def describe_rule(self, request: Wire, context: Context) -> Wire:
        return self._described(self._find(request)) | {"CreatedBy": self._names.account_id}

    def list_rules(self, request: Wire, context: Context) -> Wire:
        bus, limit = self._names.bus(request.get("EventBusName")), page_limit(request)
        prefix, after = request.get("NamePrefix", ""), request.get("NextToken", "")
        found = self._store.rules(bus.name, prefix=prefix, after=after, limit=limit + 1)
        reply: Wire = {"Rules": [self._described(rule) for rule in found[:limit]]}
        if len(found) > limit:
            reply["NextToken"] = found[limit - 1].name
        return reply

    def list_rule_names_by_target(self, request: Wire, context: Context) -> Wire:
        bus, limit = self._names.bus(request.get("EventBusName")), page_limit(request)
        after = request.get("NextToken", "")
        found = self._store.rule_names(bus.name, request["TargetArn"], after=after, limit=limit + 1)
        more = {"NextToken": found[limit - 1]} if len(found) > limit else {}
        return {"RuleNames": found[:limit]} | more

    def enable_rule(self, request: Wire, context: Context) -> Wire:
        rule = self._find(request)
        if rule.state == "DISABLED":
            self._keep(replace(rule, state="ENABLED"))
        return {}

    def disable_rule(self, request: Wire, context: Context) -> Wire:
        self._keep(replace(self._find(request), state="DISABLED"))
        return {}

    def delete_rule(self, request: Wire, context: Context) -> Wire:
        """Deleting what is not there succeeds; a rule with targets is kept."""
        bus = self._names.bus(request.get("EventBusName"))
        rule = self._store.rule(bus.name, request["Name"])
        if rule is not None:
            if self._store.targets(rule, limit=1):
                raise invalid("Rule can't be deleted since it has targets.")
            self._store.delete_rule(bus.name, rule.name)
        return {}

    def _keep(self, rule: Rule) -> None:
        """A schedule counts from when its rule is put or enabled."""
        fires = rule.state != "DISABLED"
        due = due_after(rule.schedule, self._clock.now()) if fires else None
        self._store.put_rule(replace(rule, due=due))
        self._rescheduled()

    def _find(self, request: Wire) -> Rule:
        return self._names.rule(self._names.bus(request.get("EventBusName")), request["Name"])

    def _described(self, rule: Rule) -> Wire:
        described = {
            "Name": rule.name,
            "Arn": self._names.rule_arn(rule.bus, rule.name),
            "EventPattern": rule.pattern,
            "ScheduleExpression": rule.schedule,
            "State": rule.state,
            "Description": rule.description,
            "RoleArn": rule.role_arn,
            "EventBusName": rule.bus,
        }
        return {member: value for member, value in described.items() if value is not None}


def _check_schedule(text: str, bus: str) -> None:
    if bus != DEFAULT_BUS:
        raise invalid("ScheduleExpression is supported only on the default event bus.")
    try:
        compile_schedule(text)
    except ScheduleError:
        raise invalid("Parameter ScheduleExpression is not valid.") from None
