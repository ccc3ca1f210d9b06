"""The daemon's process: `python -m allma_server.daemon DATA_DIRECTORY`."""

import asyncio
import logging
import os
import sys
from pathlib import Path

from allma_server.daemon.serve import serve

os.umask(0o077)  # files that libraries write are private too
logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
status = asyncio.run(serve(Path(sys.argv[1])))
sys.stderr.flush()
# Not sys.exit, which would wait for threads of libraries that may never end.
os._exit(status)
