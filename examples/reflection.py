"""One model drafts, another reviews, until the reviewer says <OK> or two rounds are over."""

from __future__ import annotations

import sys

from orchestrator import Agent


def main(author_model: str, critic_model: str, task: str = "A haiku about receipts.") -> str:
    critic_prompt = "You review. Say <OK> when nothing is to be done."
    with (
        Agent(model=author_model) as author,
        Agent(system_prompt=critic_prompt, model=critic_model) as critic,
    ):
        draft = author.chat(task)
        for _ in range(2):
            review = critic.chat(f"{task}\n\n{draft}")
            if "<OK>" in review:
                break
            draft = author.chat(f"Write it again. A reviewer says: {review}")
    print(draft)
    return draft


if __name__ == "__main__":
    main(*sys.argv[1:])
