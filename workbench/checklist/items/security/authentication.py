"""Authentication: nobody gets in without a key, with a wrong one, or by a side door."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from dataclasses import replace
from urllib.parse import urlsplit

from workbench.checklist.asking import Reply
from workbench.checklist.finding import Evidence, Finding, bad, conclude, doubt, good, unknown
from workbench.checklist.inspection import REACH, Inspection
from workbench.checklist.registry import Check

CHECK = Check(
    id="authentication",
    title="Nobody gets in without a valid key",
    item="Requests are authenticated, by API key or OAuth.",
    prove="Give a user's key (--api-key) and the address where users come in.",
)
MEND = "Ask for a key at the gateway or the engine (vllm serve --api-key), for every route."
#: Routes of vLLM that its own --api-key leaves open, https://docs.vllm.ai/en/stable/usage/security/.
SIDE_DOORS = ("/invocations", "/tokenize", "/pooling", "/score", "/rerank")
#: Where OAuth's metadata lies: RFC 9728, RFC 8414, OpenID Connect Discovery 1.0.
METADATA = (
    "/.well-known/oauth-protected-resource", "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
)  # fmt: skip


def expired_token() -> str:
    """A bearer token in JWT's form (RFC 7519) that nobody signed and that ended in 2001."""
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": "nobody", "iat": 978307200, "exp": 978310800})
    words = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*words, base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()])


async def look(inspection: Inspection) -> Finding:
    """Ask without a key, with wrong ones, and at the side doors."""
    reach = await inspection.reach()
    if reach.status is None:
        return conclude([unknown("ask without a key", reach.line, REACH)])
    name = await inspection.model()
    keys = {"no key": None, "a made-up key": f"sk-{secrets.token_hex(16)}", "an expired token": expired_token()}
    question = {"model": name, "max_tokens": 1}
    chat = question | {"messages": [{"role": "user", "content": "Hi"}]}
    text = question | {"prompt": "Hi"}
    routes = {"/v1/chat/completions": chat, "/v1/completions": text, "/v1/models": None}

    async def enter(who: str, path: str) -> Reply:
        body = routes.get(path, chat | text if path != "/tokenize" else {"model": name, "prompt": "Hi"})
        return await inspection.ask("GET" if body is None else "POST", path, body=body, key=keys[who])

    ways = [(who, path) for path in routes for who in keys]
    replies = dict(zip(ways, await asyncio.gather(*(enter(*way) for way in ways)), strict=True))
    doors = dict(zip(SIDE_DOORS, await asyncio.gather(*(enter("no key", path) for path in SIDE_DOORS)), strict=True))
    pieces = [_judged(who, path, reply) for (who, path), reply in replies.items()]
    for path, reply in doors.items():
        if reply.ok:
            mend = (
                "Let the gateway pass only what clients need (/v1/…): the engine's own key does not cover this route."
            )
            pieces.append(bad(f"POST {path} with no key", f"let in: {reply.line}", mend))
    if not any(reply.ok for reply in doors.values()):
        pieces.append(good(f"POST {', '.join(SIDE_DOORS)} with no key", "none of them answers"))
    pieces.append(await _own(inspection))
    pieces += await _announced(inspection, next(iter(replies.values())))
    parts = urlsplit(inspection.subject.url)
    if parts.scheme == "http" and not inspection.subject.local:
        pieces.append(doubt("the address", "http: keys travel in the clear", "Serve by https."))
    found = conclude(pieces, CHECK.prove, "no key, a made-up one and an expired token are refused on every route")
    open_ways = [piece.asked for piece in pieces if piece.status == "fail" and piece.answered.startswith("let in")]
    if not open_ways:
        return found
    more = f" and {len(open_ways) - 2} more ways" if len(open_ways) > 2 else ""
    return replace(found, said=f"let in by {', '.join(open_ways[:2])}{more}")


def _judged(who: str, path: str, reply: Reply) -> Evidence:
    asked = f"{reply.asked} with {who}"
    if reply.ok:
        return bad(asked, f"let in: {reply.line}", MEND)
    if reply.refused_for_key:
        return good(asked, f"HTTP {reply.status}")
    if reply.status in (404, 405) and path != "/v1/models":
        return good(asked, f"HTTP {reply.status}: there is no such route")
    if reply.status in (400, 404, 422):
        return bad(asked, f"not asked for a key: {reply.line}", MEND)
    return doubt(asked, reply.line, "Answer 401 to who has no valid key, whatever else is wrong.")


async def _own(inspection: Inspection) -> Evidence:
    reply = await inspection.reach()
    if inspection.subject.api_key is None:
        if reply.refused_for_key:
            return unknown("ask with a valid key", "none was given, so the rest could not be asked")
        return unknown("ask with a valid key", "none was given")
    asked = "GET /v1/models with the key that was given"
    return reply.as_evidence("pass" if reply.ok else "fail", "Give a key that is valid.", asked=asked)


async def _announced(inspection: Inspection, refused: Reply) -> list[Evidence]:
    """What a refusal and OAuth's metadata say: facts for the reader, no judgement where keys are used instead."""
    how = refused.headers.get("www-authenticate", "")
    found: list[Evidence] = []
    if refused.status == 401:
        found.append(good("WWW-Authenticate of a refusal", how or "none: plain keys need none, OAuth does (RFC 6750)"))
    replies = await asyncio.gather(*(inspection.ask("GET", path, key=None) for path in METADATA))
    told = [path for path, reply in zip(METADATA, replies, strict=True) if reply.ok and isinstance(reply.json(), dict)]
    if told:
        data = replies[METADATA.index(told[0])].json()
        issuer = data.get("issuer") or data.get("authorization_servers") or "without an issuer"
        found.append(good(f"GET {told[0]}", f"OAuth: {str(issuer)[:120]}"))
        if "bearer" not in how.casefold():
            mend = "Name the scheme in the refusal: WWW-Authenticate: Bearer (RFC 6750, RFC 9728)."
            found.append(doubt("WWW-Authenticate beside OAuth's metadata", how or "none", mend))
    else:
        found.append(good("look for OAuth's metadata", "none: keys only"))
    return found
