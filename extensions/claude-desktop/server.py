"""Start Allma for Claude Desktop, which runs this file with uv. The arguments are folders."""

import sys

from allma_server.__main__ import main

# Claude Desktop may pass an empty setting as its placeholder.
folders = [argument for argument in sys.argv[1:] if argument and not argument.startswith("${")]
if __name__ == "__main__":
    options = [word for folder in folders for word in ("--workspace", folder)]
    sys.argv[1:] = ["mcp", *options]
    main()
