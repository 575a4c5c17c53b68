"""Security Token Service: who is calling, and temporary credentials for roles of this account."""

from scones.cloud.services.sts.api import Sts

__all__ = ["Sts"]
