"""The LSP door: every operation as a command and as a request, and folders that follow the editor.

Whatever an editor is told comes from an operation; here it is only given a form. The home of
`pygls` and `lsprotocol`.
"""

from allma_server.protocols.lsp.server import serve_lsp

__all__ = ["serve_lsp"]
