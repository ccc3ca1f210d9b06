"""MCP: tools, resources, prompts and completion, in both eras of the protocol.

`make_server` makes the server of any transport from the sessions of its clients; `serve_mcp` is
the transport of lines. The home of `mcp`.
"""

from allma_server.protocols.mcp.server import make_server, serve_mcp

__all__ = ["make_server", "serve_mcp"]
