"""LSP: every operation as a command and as a request, and the editor's folders kept indexed.

The home of `pygls` and `lsprotocol`.
"""

from allma_server.protocols.lsp.server import serve_lsp

__all__ = ["serve_lsp"]
