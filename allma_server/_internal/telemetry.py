"""Switches off what dependencies would send home, before any of them is imported."""

import os

SWITCHES = {
    # onnxruntime queues events at its import, in a file below the user's cache, and uploads them
    # ten seconds later. Its own `disable_telemetry_events` comes too late.
    "ORT_DISABLE_TELEMETRY": "1",
    "ANONYMIZED_TELEMETRY": "False",  # chromadb
    "OTEL_SDK_DISABLED": "true",  # OpenTelemetry, which mcp and chromadb report to
    "HF_HUB_OFFLINE": "1",  # huggingface_hub, which tokenizers asks for files
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",  # whoever follows consoledonottrack.com
}


def disable_telemetry() -> None:
    """Sets the switches in this process's environment, which its children inherit.

    They override what the user has set: no connection is opened but to configured providers.
    """
    os.environ.update(SWITCHES)  # noqa: TID251
