"""What ``sessionfsm account`` does."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable

from sessionfsm.errors import CredentialsExposed, StoreError
from sessionfsm.ilink import DEFAULT_BASE_URL, check_base_url
from sessionfsm.ilink.headers import check_token
from sessionfsm.secret import Secret
from sessionfsm.store import CredentialFolder, Credentials

from .exit_codes import ExitCode
from .problems import CommandError, one_line
from .writing import say, write_out

__all__ = ["add", "list_accounts", "remove"]


def add(args: argparse.Namespace, token: Secret) -> ExitCode:
    """Keep a token; what no session would take is refused here already."""
    base_url = check_base_url(DEFAULT_BASE_URL if args.base_url is None else args.base_url, args.allow_host)
    credentials = Credentials(
        token=check_token(token), base_url=base_url.removesuffix("/"), user_id=args.user_id.strip()
    )
    retired = CredentialFolder(args.credentials).save(credentials)
    _write([f"stored {credentials.account}", *(f"retired {account}" for account in retired)])
    return ExitCode.OK


def list_accounts(args: argparse.Namespace) -> ExitCode:
    """Say which accounts there are, without their tokens."""
    folder = CredentialFolder(args.credentials)
    found: dict[str, Credentials | None] = {}
    problems: dict[str, str] = {}
    for account in folder.accounts():
        try:
            found[account] = folder.current(account)
        except (CredentialsExposed, StoreError) as error:
            problems[account] = one_line(error)
    if args.json:
        every = [
            {
                "account": account,
                "base_url": credentials.base_url if credentials else None,
                "user_id": credentials.user_id or None if credentials else None,
                "problem": problems.get(account),
            }
            for account, credentials in sorted({**found, **dict.fromkeys(problems)}.items())
        ]
        write_out(json.dumps({"accounts": every}) + "\n")
    else:
        _write(
            " ".join(filter(None, (account, credentials.base_url, credentials.user_id)))
            for account, credentials in found.items()
            if credentials is not None  # it was removed in the meantime
        )
    for problem in problems.values():
        say(f"sessionfsm: error: {problem}")
    if not found and not problems:
        say("no account is kept; 'sessionfsm account add' keeps one")
    return ExitCode.FAILED if problems else ExitCode.OK


def remove(args: argparse.Namespace) -> ExitCode:
    """Forget an account's credentials."""
    folder = CredentialFolder(args.credentials)
    if not folder.remove(args.account):
        successor = folder.current(args.account)
        way_out = (
            "'sessionfsm account list' shows what there is"
            if successor is None
            else f"its user has logged in again since, as {successor.account}"
        )
        raise CommandError(f"there are no credentials of {args.account}; {way_out}", ExitCode.NO_CREDENTIALS)
    _write([f"removed {args.account}"])
    return ExitCode.OK


def _write(lines: Iterable[str]) -> None:
    write_out("".join(f"{one_line(line)}\n" for line in lines))
