"""The same verbs without a browser: ``workbench VERB …``.

Every verb is a module here with ``HELP``, ``add_arguments(parser)`` and ``run(args) -> int``. Exit status: 0 done,
1 no (does not fit, a check failed), 2 bad input, with one line on stderr that says what to do.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from workbench import __version__
from workbench.errors import WorkbenchError

#: In the order of the work; each is a module of this package.
VERBS = (
    "plan",
    "search",
    "gpus",
    "models",
    "quantize",
    "distill",
    "serve",
    "smoke",
    "monitor",
    "bench",
    "experiment",
    "baseline",
    "compare",
    "readiness",
    "adapt",
    "export",
    "validate",
    "calibrate",
    "flags",
    "doctor",
    "demo",
    "app",
    "lab",
)


class _Parser(argparse.ArgumentParser):
    """Argparse whose errors are one line."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(2, f"workbench: {message} (see `{self.prog} --help`)\n")


def _parser(verb: str | None) -> argparse.ArgumentParser:
    """The parser; only the verb asked for loads its module, so that the command stays quick."""
    parser = _Parser(prog="workbench", description="Plan, quantise, serve and measure large language models.")
    parser.add_argument("--version", action="version", version=f"llm-workbench {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=_Parser)
    for name in VERBS:
        if verb in VERBS and name != verb:
            verbs.add_parser(name, add_help=False)
            continue
        module = import_module(f"workbench.cli.{name}")
        sub = verbs.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = _parser(words[0] if words else None)
    args = parser.parse_args(words)
    if args.verb is None:
        parser.print_help()
        return 2
    try:
        return int(args.run(args))
    except WorkbenchError as error:
        print(f"workbench: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("workbench: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `workbench search … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
