"""nginx in front of the replicas: keys, a rate limit for each, streams that are passed on as they come.

Written for nginx 1.22 (Debian 12) and later; 1.29.7 made HTTP/1.1 and kept-alive connections to upstreams the default,
which is said here for those before (https://nginx.org/en/CHANGES). It compares keys without regard to case: those made
here are hexadecimal, in lower case.
"""

from __future__ import annotations

from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.target import Target
from workbench.exports.targets.proxy import _shared

#: Furthest that a rate in whole requests a minute, the finest nginx counts, may be from the one wished for.
_OFF = 0.05


def rate(subject: Subject) -> str | None:
    """The rate limit in nginx's words, whole requests a second or minute; None if none is near enough.

    >>> from workbench import plan
    >>> from workbench.exports.wishes import Wishes
    >>> subject = Subject(plan("Qwen/Qwen3-8B", "L40S", max_model_len=8192), Wishes(requests_per_s=2.5))
    >>> rate(subject)
    '150r/m'
    """
    wished = subject.wishes.requests_per_s
    if wished == int(wished):
        return f"{int(wished)}r/s"
    minute = round(60 * wished)
    return f"{minute}r/m" if abs(minute - 60 * wished) <= _OFF * 60 * wished else None


def obstacle(subject: Subject) -> str | None:
    """What replicas cannot be, and a rate that nginx cannot count."""
    if (why := _shared.obstacle(subject)) is not None:
        return why
    if rate(subject) is None:
        return f"requests_per_s is {subject.wishes.requests_per_s:g}; nginx counts whole requests a minute"
    return None


def _configuration(subject: Subject) -> str:
    name, host, seconds = subject.name, subject.wishes.host, subject.longest_answer
    servers = "\n".join(f"        server {address} max_fails=1 fail_timeout=10s;" for address in subject.addresses)
    health = (
        f'proxy_set_header Connection "";\n            proxy_pass http://{name}{subject.server.health};'
        if subject.server.health
        else "default_type text/plain; return 200 ok;  # the engine has no route that says whether it is well"
    )
    to_engine = (
        f"""# The client's key ends here; the engine gets its own, {subject.secrets[0]}.
            include keys/engine.conf;"""
        if subject.secrets
        else """# The client's key ends here; the engine asks for none.
            proxy_set_header Authorization "";"""
    )
    closed = "|".join(route.removeprefix("/v1/") for route in _shared.CLOSED)
    return f"""\
# {name}: nginx in front of {subject.wishes.replicas} of {subject.engine}.

worker_processes auto;
error_log /var/log/nginx/error.log warn;

events {{
    worker_connections 4096;
}}

http {{
    # Who asked what, never what it said: no body, no query, no key.
    log_format told escape=json '{{"time": "$time_iso8601", "client": "$client", "method": "$request_method", '
        '"path": "$uri", "status": $status, "bytes": $body_bytes_sent, "seconds": $request_time, '
        '"first_byte": "$upstream_header_time", "upstream": "$upstream_addr", "id": "$request_id"}}';
    access_log /var/log/nginx/access.log told;
    server_tokens off;

    # A client's key -> its name. keys/*.map lie beside this file, a line each: "Bearer sk-..." name;
    # Without a file of keys nobody gets in.
    map_hash_bucket_size 256;
    map $http_authorization $client {{
        default "";
        include keys/*.map;
    }}

    # Each client by its own.
    limit_req_zone $client zone=clients:10m rate={rate(subject)};
    limit_req_status 429;

    # The replica with the fewest requests under way: answers are of very different lengths.
    # Put each replica's own address here if it runs elsewhere.
    upstream {name} {{
        least_conn;
{servers}
        keepalive 64;
    }}

    server {{
        listen 80 default_server;
        # Keys travel in the clear until TLS is on. Replace the line above by these, with the certificate of {host}:
        # listen 443 ssl default_server;
        # ssl_certificate /etc/nginx/tls/fullchain.pem;
        # ssl_certificate_key /etc/nginx/tls/privkey.pem;
        server_name {host};

        # A whole context of {subject.max_model_len} tokens; kept in memory, for a prompt has no business on a disk.
        client_max_body_size {subject.largest_request}m;
        client_body_buffer_size {subject.largest_request}m;

        proxy_http_version 1.1;
        # Tokens are passed on as they come.
        proxy_buffering off;
        proxy_cache off;
        # An answer that is not streamed is silent until its last token.
        proxy_connect_timeout 5s;
        proxy_read_timeout {seconds}s;
        proxy_send_timeout 60s;
        send_timeout 60s;

        error_page 401 = @no_key;
        error_page 429 = @too_fast;
        error_page 502 504 = @down;

        location /v1/ {{
            if ($client = "") {{
                return 401;
            }}
            limit_req zone=clients burst={_shared.burst(subject)} nodelay;
            {to_engine}
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Request-Id $request_id;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_pass http://{name};
        }}

        # Not for clients.
        location ~ ^/v1/({closed}) {{
            return 404;
        }}

        # For who watches from outside: whether an engine answers.
        location = /health {{
            access_log off;
            {health}
        }}

        # Everything else stays within: /metrics, the engine's own routes.
        location / {{
            return 404;
        }}

        location @no_key {{
            internal;
            default_type application/json;
            add_header WWW-Authenticate Bearer always;
            return 401 '{_shared.NO_KEY}';
        }}
        location @too_fast {{
            internal;
            default_type application/json;
            add_header Retry-After {_shared.again(subject)} always;
            return 429 '{_shared.TOO_FAST}';
        }}
        location @down {{
            internal;
            default_type application/json;
            add_header Retry-After 10 always;
            return 503 '{_shared.DOWN}';
        }}
    }}
}}
"""


def files(subject: Subject) -> list[File]:
    """The whole of nginx.conf, and a script that makes a client's key."""
    line = 'printf \'"Bearer %s" %s;\\n\' "$key" "$name"'
    return [
        File("nginx/nginx.conf", "nginx", _configuration(subject), language="nginx"),
        File("nginx/new-key.sh", "shell", _shared.new_key("keys/clients.map", line), executable=True),
    ]


def steps(subject: Subject) -> list[str]:
    """Keys, addresses, TLS, start."""
    engine = (
        [
            f"Write the engine's own key into `nginx/keys/engine.conf`, as root and with mode 600: "
            f'`proxy_set_header Authorization "Bearer …";` with the value of `{subject.secrets[0]}`.'
        ]
        if subject.secrets
        else []
    )
    return [
        "Make each client its key: `nginx/new-key.sh NAME`. It is printed once; `nginx/keys/clients.map` holds it.",
        *engine,
        f"Put the replicas' addresses into `upstream {subject.name}`, and the certificate of "
        f"`{subject.wishes.host}` into the lines about TLS: until then keys travel in the clear.",
        "Copy `nginx/` to `/etc/nginx/`, try it by `nginx -t` and start it: `nginx`, after a change `nginx -s reload`.",
    ]


TARGET = Target(
    id="nginx",
    title="nginx",
    about="A key and a rate limit for each client, the replicas balanced, streams passed on as they come.",
    files=files,
    steps=steps,
    obstacle=obstacle,
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html",
    without={},
)
