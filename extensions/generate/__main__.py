"""`python -m extensions.generate` writes the generated files; `--check` only lists stale ones."""

import sys

from extensions.generate import stale

outdated = stale()
for path, text in outdated.items():
    sys.stdout.write(f"{path}\n")
    if "--check" not in sys.argv[1:]:
        path.write_text(text, "utf-8")
sys.exit(1 if outdated and "--check" in sys.argv[1:] else 0)
