"""qwenlab user: who may use a lab that other computers reach."""

from __future__ import annotations

import argparse
import getpass
import sys
from typing import Any

from qwenlab import accounts
from qwenlab.commands.console import DONE, Console
from qwenlab.errors import QwenlabError
from qwenlab.workspace import Workspace


def add_verbs(verbs: Any) -> None:
    """Add `user add | remove | list`."""
    room = verbs.add_parser("user", help="who may log in to a lab started with --listen")
    actions = room.add_subparsers(dest="action", required=True, metavar="ACTION")
    adding = actions.add_parser("add", help="add a user, or change the password; it is asked for, or read from a pipe")
    adding.set_defaults(run=add_user)
    removing = actions.add_parser("remove", help="remove a user")
    removing.set_defaults(run=remove_user)
    for one in (adding, removing):
        one.add_argument("name")
    listing = actions.add_parser("list", help="names of users")
    listing.set_defaults(run=list_users)
    for one in (adding, removing, listing):
        one.add_argument("--json", action="store_true", help="print JSON")


def add_user(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Ask for a password, which never stands among the arguments, and keep its hash."""
    line = accounts.put(workspace, chosen.name, _password())
    path = str(accounts.file_of(workspace))
    console.result({"name": chosen.name, "file": path, "line": line}, f"{chosen.name} may log in ({path}).")
    return DONE


def remove_user(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Remove one."""
    accounts.remove(workspace, chosen.name)
    console.result({"name": chosen.name}, f"{chosen.name} may no longer log in.")
    return DONE


def list_users(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Print the names."""
    names = sorted(accounts.read(workspace))
    console.result({"users": names}, "\n".join(names) or "No users yet: qwenlab user add NAME")
    return DONE


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != first:
        raise QwenlabError("The two passwords differ.", "Try again.", zh=("两次输入的密码不同。", "请重试。"))
    return first
