"""Who signed a request, and whether the signature holds: SigV4 headers and presigned URLs, old and new.

Where no credentials are configured (loopback only) nobody's secret is known: any key passes, signed or
not, but a presigned URL still expires and a signed payload must still be the one that was signed.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from botocore.auth import HmacV1QueryAuth, S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials as Keys

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Clock
from scones.cloud.settings import CloudSettings
from scones.cloud.wire.chunked import ChunkVerifier
from scones.cloud.wire.http import HttpRequest, is_loopback

__all__ = ["Auth", "Credentials", "Identity", "allow_host", "identify"]

Credentials = Callable[[str], tuple[str, str] | None]
"""Secret and session token of a temporary access key; None where it is unknown or has expired."""

_SKEW = timedelta(minutes=15)
_LONGEST = 7 * 24 * 3600
_DATE = "%Y%m%dT%H%M%SZ"
_ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
UNSIGNED = "UNSIGNED-PAYLOAD"

Query = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a request claims about its sender. kind: "" is unsigned; "v2" and "v4query" are presigned."""

    kind: str = ""
    access_key: str = ""
    date: str = ""
    region: str = ""
    service: str = ""
    signed_headers: tuple[str, ...] = ()
    signature: str = ""
    expires: str = ""
    token: str = ""


def identify(request: HttpRequest, query: Query) -> Identity:
    """The claim, unverified; an unknown scheme counts as unsigned."""
    header = request.headers.get("authorization", "")
    if header.startswith(_ALGORITHM):
        return _from_header(header, request.headers)
    if "X-Amz-Signature" in query or "X-Amz-Credential" in query:
        return _from_query(query)
    if "AWSAccessKeyId" in query and "Signature" in query:
        return Identity(
            kind="v2",
            access_key=query["AWSAccessKeyId"][0],
            service="s3",
            signature=query["Signature"][0],
            expires=_first(query, "Expires"),
            token=_first(query, "x-amz-security-token"),
        )
    return Identity(kind="unknown" if header else "")


def _from_header(header: str, headers: Mapping[str, str]) -> Identity:
    pairs = (part.strip().partition("=") for part in header[len(_ALGORITHM) :].split(","))
    fields = {name: value for name, _, value in pairs}
    return Identity(
        kind="v4",
        date=headers.get("x-amz-date", ""),
        signed_headers=tuple(fields.get("SignedHeaders", "").split(";")),
        signature=fields.get("Signature", ""),
        token=headers.get("x-amz-security-token", ""),
        **_scope(fields.get("Credential", "")),
    )


def _from_query(query: Query) -> Identity:
    return Identity(
        kind="v4query",
        date=_first(query, "X-Amz-Date"),
        signed_headers=tuple(_first(query, "X-Amz-SignedHeaders").split(";")),
        signature=_first(query, "X-Amz-Signature"),
        expires=_first(query, "X-Amz-Expires"),
        token=_first(query, "X-Amz-Security-Token"),
        **_scope(_first(query, "X-Amz-Credential")),
    )


def _scope(credential: str) -> dict[str, str]:
    """`AKIA…/20260101/us-east-1/s3/aws4_request`; a key itself may hold slashes."""
    parts = credential.rsplit("/", 4)
    if len(parts) != 5 or parts[4] != "aws4_request":
        return {"access_key": credential.split("/", 1)[0]}
    return {"access_key": parts[0], "region": parts[2], "service": parts[3]}


def _first(query: Query, name: str) -> str:
    return (query.get(name) or [""])[0]


def allow_host(headers: Mapping[str, str], settings: CloudSettings) -> None:
    """Refuse names that a hostile page may have pointed at this machine (DNS rebinding, cross-site forms).

    Raises ServiceError.
    """
    if settings.credentials and not is_loopback(settings.host):
        return  # reachable under names unknown here; there, signatures keep strangers out
    host = headers.get("host", "")
    if not _here(host, settings):
        raise ServiceError(
            "AccessDenied",
            f"The Host header {host[:200]!r} is not this cloud's: use 127.0.0.1, localhost or the host it "
            "was started with.",
            status=403,
        )
    origin = headers.get("origin", "")
    if origin and not _here(urlsplit(origin).netloc, settings):
        raise ServiceError("AccessDenied", f"Pages of {origin[:200]!r} may not use this cloud.", status=403)


def _here(host: str, settings: CloudSettings) -> bool:
    name = host.lower()
    if not name.endswith("]"):
        head, colon, port = name.rpartition(":")
        if colon and port.isascii() and port.isdigit():
            name = head
    return is_loopback(name) or name == settings.host.lower()


class Auth:
    """Verifies claims against the configured keys and those that our STS has issued."""

    def __init__(
        self, *, clock: Clock, settings: CloudSettings, temporary: Credentials | None = None
    ) -> None:
        self._clock = clock
        self._keys = settings.credentials
        self._temporary = temporary

    def verify(self, identity: Identity, request: HttpRequest, body_sha256: Callable[[], str]) -> None:
        """body_sha256: the hash of a body that no header states.

        Raises ServiceError.
        """
        if identity.kind in ("v2", "v4query"):
            self._not_expired(identity)
        if not self._keys:
            return
        if not identity.kind:
            raise _refusal(identity, "AccessDenied", "MissingAuthenticationToken", "Access Denied")
        if identity.kind == "unknown":
            raise ServiceError(
                "InvalidRequest",
                "The authorization mechanism you have provided is not supported. "
                "Please use AWS4-HMAC-SHA256.",
            )
        keys = self._look_up(identity)
        if identity.kind == "v4":
            self._near(identity)
        if identity.kind == "v2":
            expected = _sign_v2(identity, request, keys)
        else:
            expected = _sign_v4(identity, request, keys, body_sha256)
        if not hmac.compare_digest(expected.encode(), identity.signature.encode()):
            raise _refusal(
                identity,
                "SignatureDoesNotMatch",
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. "
                "Check your key and signing method.",
            )

    def chunk_verifier(self, identity: Identity, request: HttpRequest) -> ChunkVerifier | None:
        """For bodies that carry signatures; None where there are none, or no secret to check them with."""
        content = request.headers.get("x-amz-content-sha256", "")
        if not self._keys or not content.startswith(f"STREAMING-{_ALGORITHM}"):
            return None
        signer = S3SigV4Auth(self._look_up(identity), identity.service, identity.region)
        return _Chunks(signer, identity)

    def _look_up(self, identity: Identity) -> Keys:
        if (secret := self._keys.get(identity.access_key)) is not None:
            return Keys(identity.access_key, secret)
        issued = self._temporary(identity.access_key) if self._temporary else None
        if issued is None:
            raise _refusal(
                identity,
                "InvalidAccessKeyId",
                "InvalidClientTokenId",
                "The AWS Access Key Id you provided does not exist in our records.",
            )
        if not hmac.compare_digest(issued[1].encode(), identity.token.encode()):
            raise _refusal(
                identity,
                "InvalidToken",
                "InvalidClientTokenId",
                "The security token in the request is invalid.",
            )
        return Keys(identity.access_key, issued[0], issued[1])

    def _near(self, identity: Identity) -> None:
        moment = _moment(identity.date)
        if moment is None or abs(self._clock.now() - moment) > _SKEW:
            raise _refusal(
                identity,
                "RequestTimeTooSkewed",
                "SignatureDoesNotMatch",
                "The difference between the request time and the current time is too large.",
            )

    def _not_expired(self, identity: Identity) -> None:
        if not identity.expires.isascii() or not identity.expires.isdigit() or len(identity.expires) > 12:
            raise ServiceError(
                "AuthorizationQueryParametersError", "Query-string authentication needs Expires."
            )
        seconds, now = int(identity.expires), self._clock.now()
        if identity.kind == "v2":
            expired = seconds < now.timestamp()
        else:
            moment = _moment(identity.date)
            if moment is None or seconds > _LONGEST:
                raise ServiceError(
                    "AuthorizationQueryParametersError",
                    "X-Amz-Expires must be less than a week (in seconds) that is 604800, and X-Amz-Date "
                    "in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\".",
                )
            expired = moment + timedelta(seconds=seconds) < now
            if moment - now > _SKEW:
                raise ServiceError("AccessDenied", "Request is not yet valid", status=403)
        if expired:
            raise ServiceError("AccessDenied", "Request has expired", status=403)


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, _DATE).replace(tzinfo=UTC)
    except ValueError:
        return None


def _refusal(identity: Identity, s3_code: str, code: str, message: str) -> ServiceError:
    s3 = identity.service in ("s3", "")
    return ServiceError(s3_code if s3 and identity.kind else code, message, status=403)


# --- botocore's signers, told what the client signed instead of choosing it ----------------------


class _Fixed(SigV4Auth):
    """Signs exactly the headers that the client says it signed, and the query as it was meant."""

    signed: HTTPHeaders

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        return self.signed

    def canonical_query_string(self, request: AWSRequest) -> str:
        pairs = parse_qsl(str(urlsplit(request.url).query).replace("+", "%2B"), keep_blank_values=True)
        encoded = sorted((quote(k, safe="-_.~"), quote(v, safe="-_.~")) for k, v in pairs)
        return "&".join(f"{k}={v}" for k, v in encoded if k != "X-Amz-Signature")


class _S3Fixed(_Fixed, S3SigV4Auth):
    pass


def _url(request: HttpRequest) -> str:
    query = f"?{request.query_string}" if request.query_string else ""
    return f"http://{request.headers.get('host', '')}{request.path}{query}"


class _Chunks:
    """Verifies the chain of signatures within an aws-chunked body."""

    def __init__(self, signer: SigV4Auth, identity: Identity) -> None:
        self._signer = signer
        self._date = identity.date
        self._previous = identity.signature
        self._digest = hashlib.sha256()
        self._request = AWSRequest()
        self._request.context["timestamp"] = identity.date

    def update(self, piece: bytes) -> None:
        self._digest.update(piece)

    def end_of_chunk(self, signature: str) -> None:
        self._check("PAYLOAD", [EMPTY_SHA256, self._digest.hexdigest()], signature)
        self._digest = hashlib.sha256()

    def end_of_trailers(self, trailers: bytes, signature: str) -> None:
        self._check("TRAILER", [hashlib.sha256(trailers).hexdigest()], signature)

    def _check(self, kind: str, hashes: list[str], signature: str) -> None:
        scope = self._signer.credential_scope(self._request)
        text = "\n".join([f"{_ALGORITHM}-{kind}", self._date, scope, self._previous, *hashes])
        expected = self._signer.signature(text, self._request)
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            raise ServiceError(
                "SignatureDoesNotMatch", "A chunk's signature does not match its content.", status=403
            )
        self._previous = signature


def _sign_v4(identity: Identity, request: HttpRequest, keys: Keys, body_sha256: Callable[[], str]) -> str:
    kind = _S3Fixed if identity.service == "s3" else _Fixed
    signer = kind(keys, identity.service, identity.region)
    signer.signed = HTTPHeaders()
    for name in identity.signed_headers:
        signer.signed[name] = request.headers.get(name, "")
    sent = AWSRequest(method=request.method, url=_url(request))
    sent.context["timestamp"] = identity.date
    if identity.kind == "v4query" and identity.service == "s3":
        digest = UNSIGNED
    else:
        digest = request.headers.get("x-amz-content-sha256") or body_sha256()
    sent.headers["X-Amz-Content-SHA256"] = digest
    return str(signer.signature(signer.string_to_sign(sent, signer.canonical_request(sent)), sent))


class _V2(HmacV1QueryAuth):
    def __init__(self, keys: Keys, expires: str) -> None:
        super().__init__(keys)
        self._stated = expires

    def _get_date(self) -> str:
        return self._stated


def _sign_v2(identity: Identity, request: HttpRequest, keys: Keys) -> str:
    """Presigning moved x-amz-* headers into the query; they are signed as headers."""
    headers = HTTPHeaders()
    for name in ("content-md5", "content-type"):
        if name in request.headers:
            headers[name] = request.headers[name]
    split = urlsplit(_url(request))
    moved = {
        name.lower(): unquote(value)
        for name, value in parse_qsl(split.query, keep_blank_values=True)
        if name.lower().startswith("x-amz-") or name.lower() in ("content-md5", "content-type")
    }
    for name, value in request.headers.items():
        if name.startswith("x-amz-"):
            headers[name] = value
    for name, value in moved.items():
        if name not in headers:
            headers[name] = value
    signer = _V2(Keys(keys.access_key, keys.secret_key), identity.expires)
    return str(signer.get_signature(request.method, split, cast(Any, headers)))
