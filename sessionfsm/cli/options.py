"""Options that several commands have, and how their values are read. Nothing here is slow to import."""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module

from .exit_codes import ExitCode
from .problems import CommandError

TYPE_CHECKING = False  # see sessionfsm/__init__.py
if TYPE_CHECKING:
    from typing import Any, NoReturn, TypeAlias

    from _typeshed import SupportsWrite

    from sessionfsm.lifecycle import Machine, Policy
    from sessionfsm.secret import Secret
    from sessionfsm.store import Credentials

__all__ = [
    "Commands",
    "LaterParser",
    "Parser",
    "add_account",
    "add_connection",
    "add_credentials",
    "add_machine",
    "add_policy",
    "add_store",
    "add_trace",
    "add_verbose",
    "amount",
    "count",
    "demo_duration",
    "duration",
    "login_of",
    "machine_of",
    "policy_of",
    "port",
    "token_of",
]

TOKEN_VARIABLE = "SESSIONFSM_TOKEN"
_LONGEST_TOKEN = 65_536
_LONGEST_DEMO_S = 86_400
_COLUMNS = 80
_OPTION = r"--[A-Za-z][A-Za-z-]{0,30}(?==|$)|-[A-Za-z]"  # not compiled: --help need not wait for that


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal. ``argparse`` itself would import ``shutil`` for that, with all compressors."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    try:
        columns = int(os.environ.get("COLUMNS", ""))
    except ValueError:
        columns = 0
    if columns <= 0:
        try:
            assert sys.__stdout__ is not None
            columns = os.get_terminal_size(sys.__stdout__.fileno()).columns
        except (AssertionError, ValueError, OSError):  # there is none, it is closed, it is no terminal
            columns = 0
    return columns if columns > 0 else _COLUMNS


class Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` that says what is wrong in one line, and takes options by their full names only."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_Formatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        # What was typed in the wrong place may be a token.
        message = re.sub(r"ignored explicit argument .*", "it takes no value", message, flags=re.DOTALL)
        with suppress(OSError):
            self._print_message(f"sessionfsm: error: {message}; see '{self.prog} --help'\n", sys.stderr)
        self.exit(ExitCode.MISUSE)

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        # argparse itself passes over a help that cannot be written.
        if message and file is not None:
            file.write(message)

    def refuse_unknown(self, arguments: Sequence[str]) -> NoReturn:
        """End because of *arguments* that nobody knows. Options are named, values are not: one may be a token."""
        names = [found[0] for argument in arguments if (found := re.match(_OPTION, argument))]
        if names:
            self.error(f"unknown arguments: {' '.join(names)}")
        self.error("there is an argument too many (not shown here: it may be a token)")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            raise argparse.ArgumentError(
                None, f"there is no such command; the commands are {', '.join(action.choices)}"
            )
        super()._check_value(action, value)


class LaterParser:
    """
    A command's :class:`Parser`, which is made when the command is asked for.

    Args:
        filled_by: The module whose ``fill`` gives it what there is to it.
        options: What the parser is made with.
    """

    def __init__(self, *, filled_by: str, **options: Any) -> None:
        self._filled_by, self._options = filled_by, options

    def parse_known_args(self, args: Sequence[str], namespace: Any) -> tuple[argparse.Namespace, list[str]]:
        """Do what the parser does: all that is asked of that of a command."""
        parser = Parser(**self._options)
        import_module(self._filled_by).fill(parser)
        return parser.parse_known_args(args, namespace)


if TYPE_CHECKING:
    Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def duration(text: str) -> float:
    """Read seconds, more than 0."""
    return _number(text, lambda value: value > 0, "a number of seconds above 0")


def demo_duration(text: str) -> float:
    """Read how long a demo takes. All that goes wrong in it is planned beforehand."""
    wanted = f"a number of seconds above 0, and at most {_LONGEST_DEMO_S} (a day)"
    return _number(text, lambda value: 0 < value <= _LONGEST_DEMO_S, wanted)


def amount(text: str) -> float:
    """Read seconds, 0 or more."""
    return _number(text, lambda value: value >= 0, "a number of seconds, 0 or more")


def count(text: str) -> int:
    """Read a whole number, more than 0."""
    if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def port(text: str) -> int:
    """Read a port; 0 means any that is free."""
    if not (text.isascii() and text.isdigit() and int(text[:9]) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to 65535")
    return int(text)


def _base_url(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("the base URL is empty")
    return text


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """Add ``-v``."""
    parser.add_argument("-v", "--verbose", action="store_true", help="say everything, with tracebacks")


def add_policy(parser: argparse.ArgumentParser) -> None:
    """Add ``--policy``."""
    parser.add_argument("--policy", metavar="FILE", help="a TOML file with other figures than the default policy's")


def add_trace(parser: argparse.ArgumentParser) -> None:
    """Add ``--trace``."""
    parser.add_argument("--trace", metavar="FILE", help="record the session in this file, after what is in it")


def add_machine(parser: argparse.ArgumentParser) -> None:
    """Add ``--machine``."""
    parser.add_argument("--machine", metavar="MODULE:ATTR", help="a lifecycle of your own instead of the default one")


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Add what says which server, and as whom."""
    group = parser.add_argument_group(
        "server and account",
        f"The token comes from --token, else --token-file, else {TOKEN_VARIABLE}, else the stored credentials.",
    )
    group.add_argument("--base-url", type=_base_url, metavar="URL", help="the server (default: the official one)")
    group.add_argument(
        "--allow-host", metavar="HOST", action="append", default=[], help="a host that may receive the token as well"
    )
    group.add_argument("--token", metavar="T", help="the bot token; other users can see it in the list of processes")
    group.add_argument("--token-file", metavar="FILE", help="a file that holds the bot token")


def add_account(parser: argparse.ArgumentParser) -> None:
    """Add what says which stored login."""
    parser.add_argument(
        "--account", metavar="ACCOUNT", help="whose stored credentials, if no token is given and several are stored"
    )
    add_credentials(parser)


def add_credentials(parser: argparse.ArgumentParser) -> None:
    """Add ``--credentials``."""
    parser.add_argument(
        "--credentials",
        type=_path,
        metavar="DIR",
        help="the folder of the credentials (default: in your data folder)",
    )


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add ``--store``."""
    parser.add_argument(
        "--store", type=_path, metavar="FILE", help="the file that keeps the messages (default: in your data folder)"
    )


def _path(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("the name is empty")
    return text


def policy_of(args: argparse.Namespace) -> Policy:
    """
    Return the policy that *args* name, or the default one.

    Raises:
        PolicyError: If the file cannot be read, or says something that no policy may.
    """
    if args.policy is None:
        from sessionfsm.lifecycle import Policy

        return Policy()
    from sessionfsm.config import load_policy

    return load_policy(args.policy)


def machine_of(args: argparse.Namespace) -> Machine:
    """
    Return the machine that *args* name, or the default one, on the policy that they name.

    Raises:
        DefinitionError: If the policy or the machine cannot be had.
    """
    if args.machine is None:
        from sessionfsm.lifecycle import Machine

        return Machine(policy_of(args))
    from sessionfsm.config import load_machine

    return load_machine(args.machine, policy_of(args) if args.policy is not None else None)


def token_of(args: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Secret | None:
    """
    Return the token: from ``--token``, else from ``--token-file``, else from the environment; ``None`` without one.

    Raises:
        CommandError: If the first that is given is empty, or the file cannot be read.
    """
    from sessionfsm.secret import Secret

    if args.token is not None:
        return _present(Secret(args.token), "the value of --token")
    if args.token_file is not None:
        return _present(_read_token(args.token_file), f"the token file {args.token_file}")
    if TOKEN_VARIABLE in environment:
        return _present(Secret(environment[TOKEN_VARIABLE]), TOKEN_VARIABLE)
    return None


def login_of(args: argparse.Namespace) -> Credentials:
    """
    Return the token that *args* give and its server, or else the stored credentials.

    Raises:
        CommandError: If there are none, several to choose from, or the token is of another account than the one named.
        CredentialsExposed: If others can read the stored ones.
        StoreError: If they cannot be read.
    """
    from sessionfsm.ilink import DEFAULT_BASE_URL
    from sessionfsm.store import CredentialFolder, Credentials

    token = token_of(args)
    if token is not None:
        given = Credentials(token=token, base_url=DEFAULT_BASE_URL if args.base_url is None else args.base_url)
        if args.account not in (None, given.account):
            raise CommandError(f"the token is of account {given.account}, not of {args.account}; leave one of them out")
        return given
    folder = CredentialFolder(args.credentials)
    known = folder.accounts()
    if args.account is None and len(known) > 1:
        raise CommandError(f"several accounts are stored; choose one with --account: {', '.join(known)}")
    account = args.account if args.account is not None else known[0] if known else None
    stored = folder.current(account) if account is not None else None
    if stored is None:
        whose = f"of account {account} " if account is not None else ""
        raise CommandError(
            f"no credentials {whose}are stored, and no token is given; 'sessionfsm account add' stores them, "
            f"--token-file FILE or {TOKEN_VARIABLE} gives a token",
            ExitCode.NO_CREDENTIALS,
        )
    return stored if args.base_url is None else Credentials(token=stored.token, base_url=args.base_url)


def _read_token(path: str) -> Secret:
    from sessionfsm.secret import Secret

    try:
        with open(path, "rb") as file:
            content = file.read(_LONGEST_TOKEN + 1)
    except OSError as error:
        raise CommandError(f"the token file {path} cannot be read: {error.strerror or error}") from None
    if len(content) > _LONGEST_TOKEN:
        raise CommandError(f"the token file {path} is too long to be a token; write the token alone into it")
    return Secret(content.decode("utf-8", "replace"))


def _present(token: Secret, where: str) -> Secret:
    stripped = type(token)(token.reveal().strip())
    if not stripped:
        raise CommandError(f"{where} is empty; give the bot token that the login gave")
    return stripped


def _number(text: str, accepts: Callable[[float], bool], wanted: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and accepts(value)):
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return value
