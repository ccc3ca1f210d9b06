"""Starts Allma for Claude Desktop, which runs this with uv; the arguments are folders to search."""

import sys

from allma_server.__main__ import main

# A setting that is left empty may come as its placeholder.
folders = [argument for argument in sys.argv[1:] if argument and not argument.startswith("${")]
if __name__ == "__main__":
    options = [word for folder in folders for word in ("--workspace", folder)]
    sys.argv[1:] = ["mcp", *options]
    main()
