"""Names and ARNs of buses and rules in this account and region, and finding what they name."""

from scones.cloud.errors import ServiceError
from scones.cloud.services.events.records import Bus, Rule
from scones.cloud.services.events.store import Store

__all__ = ["DEFAULT_BUS", "Names", "invalid"]

DEFAULT_BUS = "default"


def invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)


class Names:
    def __init__(self, region: str, account_id: str, store: Store) -> None:
        self.region = region
        self.account_id = account_id
        self._prefix = f"arn:aws:events:{region}:{account_id}:"
        self._store = store

    def bus_arn(self, name: str) -> str:
        return f"{self._prefix}event-bus/{name}"

    def rule_arn(self, bus: str, name: str) -> str:
        return f"{self._prefix}rule/{name}" if bus == DEFAULT_BUS else f"{self._prefix}rule/{bus}/{name}"

    def bus_name(self, given: str | None) -> str:
        """The name of a bus that is given by name or ARN, whether or not it is there."""
        return (given or DEFAULT_BUS).removeprefix(f"{self._prefix}event-bus/")

    def bus(self, given: str | None) -> Bus:
        name = self.bus_name(given)
        found = self._store.bus(name)
        if found is None:
            raise _missing(f"Event bus {name} does not exist.")
        return found

    def rule(self, bus: Bus, name: str) -> Rule:
        found = self._store.rule(bus.name, name)
        if found is None:
            raise _missing(f"Rule {name} does not exist on EventBus {bus.name}.")
        return found

    def resource(self, arn: str) -> Bus | Rule:
        """The bus or rule that has tags."""
        kind, _, rest = arn.removeprefix(self._prefix).partition("/")
        if not arn.startswith(self._prefix) or kind not in ("event-bus", "rule") or not rest:
            raise invalid(f"Parameter ResourceARN is not valid. Reason: {arn} is no bus or rule here.")
        if kind == "event-bus":
            return self.bus(rest)
        bus, _, name = rest.rpartition("/")
        return self.rule(self.bus(bus or DEFAULT_BUS), name)


def _missing(message: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", message)
