"""The MCP door: eight tools, resources, prompts and completion, in both eras of the protocol.

Whatever a client is told comes from an operation; here it is only given a form. The home of `mcp`.
"""

from allma_server.protocols.mcp.server import serve_mcp

__all__ = ["serve_mcp"]
