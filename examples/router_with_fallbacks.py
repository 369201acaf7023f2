"""Ask one model; where it cannot answer, the next ones. `num_retries`: how often each is asked again first."""

from __future__ import annotations

import sys

from orchestrator import Agent, with_fallbacks


def main(primary: str, *others: str) -> None:
    config = with_fallbacks(primary, others, display__quiet=True)
    with Agent(config=config, chat_kwargs={"timeout": 30, "num_retries": 0}) as agent:
        reply = agent.reply("Say hello.")
        print(f"{reply.messages[-1].origin}: {reply.text}")


if __name__ == "__main__":
    main(*sys.argv[1:])
