"""``workbench app``: the planner, its accuracy and the learn notebooks as pages for everybody, by Voila behind a token.

Stand-alone Voila, because its kernels refuse code from the page; the Jupyter-server route would run it.
"""

from __future__ import annotations

import argparse
import os
import secrets
import socket
import webbrowser
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from workbench.datafiles import notebook_path
from workbench.errors import InvalidInput, MissingPart

HELP = "serve the planner's pages (Voila), behind a token"
DEFAULT_PORT = 8866

#: Address of a page -> its notebook and the link to it. The first is what Voila serves at the root.
PAGES = {
    "": ("planner.ipynb", "Planner"),
    "accuracy": ("accuracy.ipynb", "Accuracy"),
    "learn": ("learn/index.ipynb", "Learn"),
}
#: Kernels kept warm for a page that fewer people visit.
POOL_OF_OTHERS = 1
#: Pages of their own for every notebook in this one's folder; their kernels start when they are visited.
CONTENTS = "learn"

#: Nothing on the page may come from, or go to, another machine. Voila's bundle evaluates code, and anywidget
#: imports its module from a blob.
POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:; connect-src 'self' ws: wss: blob: data:; "
    "frame-ancestors 'self'; base-uri 'self'; form-action 'self'; object-src 'none'"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("--port", type=int, help=f"port to listen on (default: {DEFAULT_PORT} or the next free one)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    parser.add_argument("--token", help="the token that lets people in (default: a new one)")
    parser.add_argument("--pool", type=int, default=2, help="kernels kept warm for the next visitors")
    parser.add_argument(
        "--cull-after",
        type=int,
        default=300,
        metavar="SECONDS",
        help="end a kernel this long after its page has gone",
    )


def free_port(host: str, wanted: int | None, first: int) -> int:
    """The port to use: the one asked for, else the first free one from `first`.

    Raises
    ------
    InvalidInput
        If the port asked for is out of range or taken, or no port is free.
    """
    if wanted is not None and not 0 < wanted < 65536:
        raise InvalidInput(f"port {wanted} is out of range: choose one from 1 to 65535")
    for port in [wanted] if wanted else range(first, first + 100):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                if wanted:
                    raise InvalidInput(
                        f"port {port} on {host} cannot be used: {error.strerror}; choose another"
                    ) from error
                continue
        return port
    raise InvalidInput(f"no free port from {first} on; name one with --port")


def lessons() -> dict[str, str]:
    """Address -> notebook of the pages that the contents list."""
    if CONTENTS not in PAGES:
        return {}
    contents = PAGES[CONTENTS][0]
    folder = notebook_path(contents).parent
    found = sorted(path.name for path in folder.glob("*.ipynb") if path.name != Path(contents).name)
    return {f"{CONTENTS}/{Path(name).stem}": f"{Path(contents).parent}/{name}" for name in found}


def _listed_by(path: str) -> Iterable[str]:
    return lessons().values() if path == CONTENTS else ()


def addresses() -> dict[str, str]:
    """Notebook -> its address, of all pages."""
    own = {name: path for path, (name, _) in PAGES.items()}
    return own | {name: path for path, name in lessons().items()}


def voila_config(notebook: Path, *, host: str, port: int, token: str, pool: int, cull_after: int) -> Any:
    """Voila's configuration for one app notebook, as a traitlets Config."""
    from traitlets.config import Config

    from workbench.cli.lesson import LearnPages

    config = Config()
    config.Voila.notebook_path = str(notebook)
    config.Voila.ip, config.Voila.port, config.Voila.port_retries = host, port, 0
    config.Voila.token = token
    config.Voila.log_level = "WARN"
    config.Voila.tornado_settings = {"headers": {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"}}
    config.VoilaConfiguration.template = "workbench"
    # Formulas and links of Markdown cells, made ready for a page that has no MathJax and no notebooks beside it.
    config.VoilaExporter.preprocessors = [LearnPages]
    config.LearnPages.addresses = addresses()
    # The template's links. Only here: served by a notebook server, the pages have other addresses.
    pages = [
        {"path": path, "label": label, "names": [Path(each).stem for each in (name, *_listed_by(path))]}
        for path, (name, label) in PAGES.items()
    ]
    config.VoilaConfiguration.resources = {"workbench_pages": pages}
    config.VoilaConfiguration.allow_template_override = "NO"
    config.VoilaConfiguration.allow_theme_override = "NO"
    config.VoilaConfiguration.strip_sources = True
    config.VoilaConfiguration.show_tracebacks = False
    # Only what draws widgets: every other JupyterLab extension would be fetched and started in vain.
    config.VoilaConfiguration.extension_allowlist = [
        "@voila-dashboards/widgets-manager8",
        "@jupyter-widgets/jupyterlab-manager",
        "anywidget",
    ]
    config.VoilaConfiguration.file_allowlist = [r"(?!)"]  # the page needs no file from the notebook's folder
    config.VoilaConfiguration.preheat_kernel = pool > 0
    config.VoilaConfiguration.default_pool_size = pool
    # A closed page leaves its kernel behind; an open one keeps it.
    config.MappingKernelManager.cull_idle_timeout = cull_after
    config.MappingKernelManager.cull_interval = max(1, min(cull_after // 3, 60))
    config.MappingKernelManager.cull_connected = False
    return config


def url(host: str, port: int, token: str) -> str:
    """The address to open, token included."""
    name = "localhost" if host in ("", "0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={quote(token)}" if token else "")


def _wake_when_taken(manager: Any) -> None:
    """Count a warm kernel's idle time from when a visitor takes it.

    It may have waited in the pool for hours. Between leaving the pool, which keeps it from being culled, and the
    page's connection, which does too, the culler would otherwise take it for one that was left.
    """
    from jupyter_server._tz import utcnow

    take = manager.get_rendered_notebook

    async def taken(*args: Any, **kwargs: Any) -> Any:
        task, rendered, kernel_id = await take(*args, **kwargs)
        manager.get_kernel(kernel_id).last_activity = utcnow()
        return task, rendered, kernel_id

    manager.get_rendered_notebook = taken


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    try:
        from jupyter_server.utils import url_path_join
        from voila.app import Voila
        from voila.shutdown_kernel_handler import VoilaShutdownKernelHandler
        from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler
    except ImportError as error:
        raise MissingPart("the app needs Voila: pip install llm-workbench") from error
    if args.pool < 0 or args.cull_after < 1:
        raise InvalidInput("--pool must be 0 or more, --cull-after 1 or more")
    port = free_port(args.host, args.port, DEFAULT_PORT)
    token = args.token if args.token is not None else secrets.token_urlsafe(24)
    share = Path(__file__).parent.parent / "ui" / "share"
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [str(share), os.environ.get("JUPYTER_PATH")]))

    class Farewell(VoilaShutdownKernelHandler):  # type: ignore[misc]
        """Ends the kernel of a page that is left.

        The page says so in a beacon, which cannot carry the token against forged requests that Jupyter Server
        asks for, so that Voila's own handler refuses it. The kernel's id is as secret as that token.
        """

        def check_xsrf_cookie(self) -> None:
            return

    class Prompt(VoilaKernelWebsocketHandler):  # type: ignore[misc]
        """The page's connection to its kernel, which does not hold small packets back.

        Otherwise an answer that follows another closely waits 40 ms for the page's acknowledgement.
        """

        async def open(self, *args: Any, **kwargs: Any) -> None:
            self.set_nodelay(True)
            await super().open(*args, **kwargs)

    replacements = {VoilaShutdownKernelHandler: Farewell, VoilaKernelWebsocketHandler: Prompt}

    class App(Voila):  # type: ignore[misc]
        """Voila that says its whole address once it listens, and hears a page's farewell."""

        def init_settings(self) -> dict[str, Any]:
            settings = super().init_settings()
            if self.voila_configuration.preheat_kernel:
                _wake_when_taken(self.kernel_manager)
                others = [self._beside(name) for path, (name, _) in PAGES.items() if path]
                size = {"pool_size": min(args.pool, POOL_OF_OTHERS)}
                pools = self.kernel_manager.kernel_pools_config
                self.kernel_manager.kernel_pools_config = {**pools, **dict.fromkeys(others, size)}
                for name in others:
                    self.kernel_manager.fill_if_needed(delay=0, notebook_name=name)
            return dict(settings)

        def init_handlers(self) -> list[Any]:
            handlers = super().init_handlers()
            root, page, options = (
                handlers.pop()
            )  # Voila's own route to its one notebook takes any address, so it is last
            others = [
                (url_path_join(self.server_url, path), page, {**options, "notebook_path": self._beside(name)})
                for name, path in addresses().items()
                if path
            ]
            handlers += [*others, (root, page, options)]
            return [(path, replacements.get(handler, handler), *rest) for path, handler, *rest in handlers]

        def _beside(self, name: str) -> str:
            """A notebook as Voila names it: relative to its root."""
            return os.path.relpath(notebook_path(name), self.root_dir)

        def launch_browser(self) -> None:
            address = url(args.host, self.port, token)
            print(f"Planner: {address}\nStop it with Ctrl+C.", flush=True)
            if not args.no_browser:
                webbrowser.open(address)

    notebook = notebook_path(PAGES[""][0])
    app = App(
        config=voila_config(
            notebook, host=args.host, port=port, token=token, pool=args.pool, cull_after=args.cull_after
        )
    )
    app.config_file_paths = []  # a voila.json lying about must not open what is closed here
    app.initialize([])
    app.start()
    return 0
