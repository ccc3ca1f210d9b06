"""The daemon's process: `python -m allma_server.daemon DATA_DIRECTORY`."""

import asyncio
import logging
import os
import sys
from pathlib import Path

from allma_server.daemon.serve import serve

os.umask(0o077)  # whatever a library writes is its user's alone
logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
status = asyncio.run(serve(Path(sys.argv[1])))
sys.stderr.flush()
# Not sys.exit: a thread of a library may never end.
os._exit(status)
