"""Makes pyjwt.json: requests with tokens that PyJWT signs. See README.md."""

import base64
import hashlib
import json
import platform
from itertools import count
from pathlib import Path

import cryptography
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

HERE = Path(__file__).parent
NOW = 1713312120

# RFC 9864's name, which PyJWT does not know by itself.
jwt.register_algorithm("Ed25519", OKPAlgorithm())

KEYS = {
    "py-rsa": (RSAAlgorithm, rsa.generate_private_key(65537, 2048)),
    "py-ec": (ECAlgorithm, ec.generate_private_key(ec.SECP256R1())),
    "py-okp": (OKPAlgorithm, ed25519.Ed25519PrivateKey.generate()),
}
ALGORITHMS = {"RS256": "py-rsa", "ES256": "py-ec", "EdDSA": "py-okp", "Ed25519": "py-okp"}


def without_nulls(members):
    return {name: value for name, value in members.items() if value is not None}


def write_body(number, indent):
    """A body whose hash differs between base64's two alphabets."""
    for attempt in count():
        envelope = {
            "version": "v1",
            "webhookId": f"py-{number}-{attempt}",
            "callbackUrl": "https://example.conductor.one/api/v1/webhooks/callback/x",
            "event": "c1.webhooks.v1.PayloadTest",
            "payload": {"@type": "type.googleapis.com/c1.webhooks.v1.PayloadTest"},
        }
        body = json.dumps(envelope, indent=2) + "\n" if indent else json.dumps(envelope)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        if "+" in digest and "/" in digest:
            return envelope, body, digest


def write_hash(digest, form):
    if "url-safe" in form:
        digest = digest.replace("+", "-").replace("/", "_")
    return digest.rstrip("=") if "unpadded" in form else digest


def make_request(number, alg, form):
    envelope, body, digest = write_body(number, form.get("indent"))
    claims = {
        "iss": "example.conductor.one",
        "aud": "hooks.example.com",
        "c1typ": "wh",
        "htm": "POST",
        "htu": "https://hooks.example.com/webhooks",
        "htb_s256": write_hash(digest, form.get("hash", "")),
        "iat": NOW,
        "nbf": NOW - 60,
        "exp": NOW + 120,
        "jti": f"py-{number}",
        **form.get("claims", {}),
    }
    header = {"kid": ALGORITHMS[alg], **form.get("header", {})}
    if header["kid"] is None:  # PyJWT leaves out a typ of None, not a kid
        del header["kid"]
    token = jwt.encode(
        {name: claims[name] for name in form.get("order", claims)},
        KEYS[ALGORITHMS[alg]][1],
        algorithm=alg,
        headers=header,
    )
    digests = {"rfc9530": f"sha-256=:{digest}:", "none": None}
    headers = {
        "authorization": f"{form.get('scheme', 'bearer')} {token}",
        "content-digest": digests.get(form.get("digest"), f"sha-256={digest}"),
        "content-type": "application/json",
        "webhook-version": envelope["version"],
        "webhook-id": envelope["webhookId"],
        "webhook-event": envelope["event"],
        "webhook-callback-url": envelope["callbackUrl"],
        **form.get("http", {}),
    }
    return {
        "alg": alg,
        "form": form["name"],
        "method": "POST",
        "url": "https://hooks.example.com/webhooks?source=c1",
        "headers": without_nulls(headers),
        "body": body,
    }


cases = []
for index, form in enumerate(json.loads((HERE / "forms.json").read_text())):
    names = list(ALGORITHMS)
    chosen = names if form.get("each") else [names[index % len(names)]]
    cases += [(alg, form) for alg in chosen]

document = {
    "made_with": f"PyJWT {jwt.__version__}, cryptography {cryptography.__version__}, "
    f"Python {platform.python_version()}",
    "at": NOW,
    "jwks": {
        "keys": [
            {**kind.to_jwk(key.public_key(), as_dict=True), "kid": kid}
            for kid, (kind, key) in KEYS.items()
        ]
    },
    "requests": [make_request(number, *case) for number, case in enumerate(cases)],
}
text = json.dumps(document, ensure_ascii=False, indent=1)
(HERE / "pyjwt.json").write_text(text + "\n")
