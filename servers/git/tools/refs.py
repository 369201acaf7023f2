"""The actions of git_branch: on branches, tags and the work trees where branches are checked out."""

from __future__ import annotations

from typing import Literal

from ...output import ToolError
from ..safe.repository import Repository
from . import branch, tag, worktree

RefAction = Literal[
    "list", "create", "rename", "delete", "switch",
    "tags", "tag", "delete_tag",
    "worktrees", "add_worktree", "remove_worktree",
]  # fmt: skip


def act(repo: Repository, action: RefAction, name: str | None, ref: str | None, message: str | None) -> str:
    """Carry one out; what came of it."""
    if message and action != "tag":
        raise ToolError(f"git_branch {action} takes no message; only a tag has one")
    match action:
        case "list":
            return branch.branches(repo)
        case "tags":
            return tag.tags(repo)
        case "worktrees":
            return worktree.worktrees(repo)
        case "switch" if name or ref:
            return branch.switch(repo, name, ref)
        case _ if not name:
            raise ToolError(f"git_branch {action} needs name{' or ref' if action == 'switch' else ''}")
        case "create":
            return branch.create(repo, name, ref)
        case "rename":
            return branch.rename(repo, name, ref)
        case "delete":
            return branch.delete(repo, name)
        case "tag":
            return tag.tag(repo, name, ref, message)
        case "delete_tag":
            return tag.delete(repo, name)
        case "add_worktree":
            return worktree.add(repo, name, ref)
        case "remove_worktree":
            return worktree.remove(repo, name)
        case "switch":
            raise ToolError("git_branch switch needs name or ref")
