"""A provider of your own: any object with a `name` and a `stream` is one, and works everywhere.

This one stands for a service in your house; it answers in capitals. Run it: python examples/add_provider.py
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from orchestrator import CodingAgent
from orchestrator.types import Completion, Delta, Request, Usage, assistant


class Shout:
    name = "shout"

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        pieces: list[str] = []
        for word in request.messages[-1].text.upper().split():  # here your service would be asked
            pieces.append(word + " ")
            yield Delta(text=pieces[-1])  # for the eyes, as it arrives
        message = assistant("".join(pieces).strip(), origin=f"{self.name}:{request.model_name}")
        yield Completion(message=message, usage=Usage())  # for the record; what you do not know stays None


if __name__ == "__main__":
    with CodingAgent(model="shout:loud", tools=()) as agent:
        agent.add_provider("shout", Shout())
        agent.chat("hello from a model of my own")
