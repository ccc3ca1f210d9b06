"""The shell's protocol: operations over the daemon's socket, with its server and its client.

JSON-RPC in the framing of LSP. A request's method is an operation, its params are the arguments:

    → {"id": 1, "method": "search", "params": {…}}
    ← {"method": "progress", "params": {"id": 1, "report": [done, total, message]}}
      or "started": [conversation, message], "text": …, "sources": […]
    ← {"id": 1, "result": …} | {"id": 1, "error": {…, "data": {code, message, hint}}}

Closing the connection cancels what is under way. `WIRE` counts the changes of this that an older
client or server would not understand.
"""

WIRE = 1
