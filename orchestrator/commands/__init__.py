"""The commands of `understudy`, one module each: `add(parser)` declares its arguments, `run(options)` does it.

Both are called only for the command that was named, so that help and errors stay fast. `run` returns
the exit code and raises OrchestratorError for anything the person should read as one sentence.
"""
