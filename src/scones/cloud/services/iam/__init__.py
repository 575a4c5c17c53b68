"""Identity and Access Management: roles and policies are kept and checked for form, not enforced."""

from scones.cloud.services.iam.api import Iam

__all__ = ["Iam"]
