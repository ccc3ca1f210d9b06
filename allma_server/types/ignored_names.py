"""Names of files and folders that are generated, and never indexed."""

IGNORED_FOLDERS = frozenset(
    ".git .hg .svn .jj .bzr node_modules bower_components jspm_packages .venv venv virtualenv "
    "__pycache__ .tox .nox .mypy_cache .pytest_cache .ruff_cache .hypothesis .ipynb_checkpoints "
    ".cache .gradle .terraform .next .nuxt .svelte-kit .parcel-cache .turbo .yarn .pnpm-store "
    ".direnv .idea .eggs site-packages DerivedData Pods .dart_tool .stack-work _build "
    "$RECYCLE.BIN .Trash .Trashes".split()
)
IGNORED_FILES = frozenset(
    "package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml bun.lock bun.lockb uv.lock "
    "poetry.lock pdm.lock Pipfile.lock Cargo.lock composer.lock Gemfile.lock go.sum flake.lock "
    "mix.lock packages.lock.json tokenizer.json vocab.json vocab.txt merges.txt "
    ".git .DS_Store Thumbs.db desktop.ini .allmaignore".split()
)
IGNORED_ENDINGS = (".min.js", ".min.css", ".map", ".pyc", ".swp", ".swo", "~", ".lock", ".part")
