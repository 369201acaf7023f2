"""OpenAI's words with any model: the model asks for a function, the program runs it, the model answers."""

from __future__ import annotations

import json
import sys
from typing import Any

from orchestrator import completion, tool


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


def main(model: str, **more: Any) -> None:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "How is the weather in Oslo?"}]
    asked = completion(model, messages, tools=[weather.to_openai_format()], **more).choices[0].message
    messages.append(asked.model_dump(exclude_none=True))
    for call in asked.tool_calls or []:
        if call.type == "function":
            outcome = weather.execute(**json.loads(call.function.arguments))
            answer = {"role": "tool", "tool_call_id": call.id, "content": str(outcome.to_dict())}
            messages.append(answer)
    print(completion(model, messages, **more).choices[0].message.content)


if __name__ == "__main__":
    main(sys.argv[1])
