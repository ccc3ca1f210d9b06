"""The shell's protocol: operations over the daemon's socket, server and client side by side.

JSON-RPC in the framing of LSP. The method is an operation, the params are its arguments:

    → {"id": 1, "method": "search", "params": {…}}
    ← {"method": "progress", "params": {"id": 1, "report": [done, total, message]}}
      or "started": [conversation, message], "thinking": …, "text": …, "sources": […]
    ← {"id": 1, "result": …, "type": its dataclass in `types`} |
       {"id": 1, "error": {…, "data": {code, message, hint}}}

Closing the connection cancels its running requests.
"""

WIRE = 2
"""The version of this protocol; raised by changes that an older client or server cannot read."""

LOOK_SECONDS = 2.0
"""How long a search waits for changed files to be indexed: a user of a shell expects to find what
was saved a moment ago, and no editor reports it."""
