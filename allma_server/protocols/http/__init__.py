"""HTTP: operations for scripts and the page, and MCP over streamable HTTP."""
