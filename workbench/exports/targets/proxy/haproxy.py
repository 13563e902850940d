"""HAProxy in front of the replicas: keys, a rate limit for each, health checks, streams as they come.

Written for HAProxy 2.6 (Debian 12) and later. It keeps no client's key, only its SHA-256.
"""

from __future__ import annotations

import math

from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.target import Target
from workbench.exports.targets.proxy import _shared

#: Longest time over which a rate is counted [s]; a choice of ours: a restart forgets all counts.
_LONGEST = 86_400


def window(subject: Subject) -> int:
    """Time over which a client may send a burst of requests, so that it comes to the rate [ms]."""
    return max(1, round(1000 * _shared.burst(subject) / subject.wishes.requests_per_s))


def obstacle(subject: Subject) -> str | None:
    """What replicas cannot be, and a rate too low to be counted within a day."""
    if (why := _shared.obstacle(subject)) is not None:
        return why
    if window(subject) > 1000 * _LONGEST:
        return (
            f"requests_per_s is {subject.wishes.requests_per_s:g}; a burst of {_shared.burst(subject)} would take days"
        )
    return None


def _return(status: int, body: str, *headers: str) -> str:
    sent = "".join(f" hdr {header}" for header in headers)
    return f"http-request return status {status} content-type application/json string '{body}'{sent}"


def _configuration(subject: Subject) -> str:
    seconds, milliseconds = subject.longest_answer, window(subject)
    most, rate, kept = _shared.burst(subject), subject.wishes.requests_per_s, max(60, math.ceil(milliseconds / 500))
    too_fast = _return(429, _shared.TOO_FAST, f"Retry-After {_shared.again(subject)}")
    servers = "\n".join(f"    server {subject.name}-{n} {a}" for n, a in enumerate(subject.addresses))
    key = (
        f"""    # The client's key ends here; the engine gets its own, from the environment that HAProxy is started in.
    http-request set-header Authorization "Bearer %[env({subject.secrets[0]})]\""""
        if subject.secrets
        else """    # The client's key ends here; the engine asks for none.
    http-request del-header Authorization"""
    )
    health = (
        f"""    option httpchk
    http-check send meth GET uri {subject.server.health}
    http-check expect status 200"""
        if subject.server.health
        else "    # The engine has no route that says whether it is well: that it takes connections must do."
    )
    closed = " ".join(_shared.CLOSED)
    return f"""\
# {subject.name}: HAProxy in front of {subject.wishes.replicas} of {subject.engine}.

global
    # Files named below lie beside this one.
    default-path config
    log stdout format raw local0
    maxconn 4096

defaults
    mode http
    log global
    # Tokens are passed on as they come.
    option http-no-delay
    option redispatch
    option forwardfor
    timeout connect 5s
    timeout http-request 30s
    timeout http-keep-alive 60s
    timeout queue 60s
    # An answer that is not streamed is silent until its last token.
    timeout client {seconds}s
    timeout server {seconds}s

frontend clients
    bind :80
    # Keys travel in the clear until TLS is on. Replace the line above by this, with the certificate of
    # {subject.wishes.host} and its key in one file:
    # bind :443 ssl crt /etc/haproxy/tls.pem

    # Who asked what, never what it said: no body, no query, no key.
    unique-id-format %[uuid()]
    unique-id-header X-Request-Id
    log-format '{{"time": "%[date,ltime(%Y-%m-%dT%H:%M:%S%z)]", "client": "%[var(txn.client),json(utf8s)]", \
"method": "%[var(txn.method),json(utf8s)]", "path": "%[var(txn.path),json(utf8s)]", "status": %ST, "bytes": %B, \
"milliseconds": %Ta, "first_byte": %Tr, "upstream": "%s", "id": "%ID"}}'

    # For who watches from outside: whether an engine answers.
    monitor-uri /health
    monitor fail if {{ nbsrv(engine) eq 0 }}

    http-request set-var(txn.method) method
    http-request set-var(txn.path) path
    # Everything but the API stays within: /metrics, the engine's own routes.
    acl api path_beg /v1/
    acl devious path,url_dec -m sub .. //
    acl closed path,url_dec -m beg {closed}
    {_return(404, _shared.NO_ROUTE)} if !api || devious || closed

    # SHA-256 of a client's key -> its name; keys.map lies beside this file, a line each.
    http-request set-var(txn.client) http_auth_bearer,sha2(256),hex,map_str(keys.map)
    {_return(401, _shared.NO_KEY, "WWW-Authenticate Bearer")} unless {{ var(txn.client) -m found }}

    # Each client by its own: {most} requests in {milliseconds} ms, {rate:g} a second.
    http-request track-sc0 var(txn.client) table clients_seen
    {too_fast} if {{ sc_gpc0_rate(0,clients_seen) ge {most} }}
    http-request sc-inc-gpc0(0)

    # A whole context of {subject.max_model_len} tokens is below this.
    http-request return status 413 if {{ req.body_size gt {subject.largest_request * 2**20} }}

{key}
    http-error status 503 content-type application/json string '{_shared.DOWN}' hdr Retry-After 10
    default_backend engine

backend clients_seen
    stick-table type string len 64 size 100k expire {kept}s store gpc0,gpc0_rate({milliseconds}ms)

backend engine
    # The replica with the fewest requests under way: answers are of very different lengths.
    balance leastconn
{health}
    default-server check inter 5s fall 3 rise 1
    # Put each replica's own address here if it runs elsewhere.
{servers}
"""


def files(subject: Subject) -> list[File]:
    """The whole of haproxy.cfg, and a script that makes a client's key."""
    line = 'printf \'%s %s\\n\' "$(printf %s "$key" | sha256sum | cut -d \' \' -f 1 | tr a-f A-F)" "$name"'
    return [
        File("haproxy/haproxy.cfg", "haproxy", _configuration(subject)),
        File("haproxy/new-key.sh", "shell", _shared.new_key("keys.map", line), executable=True),
    ]


def steps(subject: Subject) -> list[str]:
    """Keys, addresses, TLS, start."""
    own = f"Put the engine's own key into HAProxy's environment as `{subject.secrets[0]}`." if subject.secrets else ""
    return [
        "Make each client its key: `haproxy/new-key.sh NAME`. It is printed once; `haproxy/keys.map` holds its hash.",
        *([own] if own else []),
        "Put the replicas' addresses into `backend engine`, and the certificate of "
        f"`{subject.wishes.host}` into the lines about TLS: until then keys travel in the clear.",
        "Copy `haproxy/` to `/etc/haproxy/`, try it by `haproxy -c -f haproxy.cfg`, start it by "
        "`haproxy -f haproxy.cfg`.",
    ]


TARGET = Target(
    id="haproxy",
    title="HAProxy",
    about="A key and a rate limit for each client, replicas that are checked and balanced, streams as they come.",
    files=files,
    steps=steps,
    obstacle=obstacle,
    source="https://docs.haproxy.org/3.2/configuration.html",
    without={},
)
