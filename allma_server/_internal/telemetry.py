"""Switch off the telemetry of dependencies before any of them is imported."""

import os

SWITCHES = {
    # onnxruntime queues events when it is imported, in a file in the user's cache, and uploads
    # them ten seconds later. Its own `disable_telemetry_events` comes too late.
    "ORT_DISABLE_TELEMETRY": "1",
    "ANONYMIZED_TELEMETRY": "False",  # chromadb
    "OTEL_SDK_DISABLED": "true",  # OpenTelemetry, which mcp and chromadb use
    "HF_HUB_OFFLINE": "1",  # huggingface_hub, which tokenizers uses
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",  # programs that follow consoledonottrack.com
}


def disable_telemetry() -> None:
    """Set the switches in this process's environment, which its children inherit.

    They override the user's values: connections are opened to configured providers only.
    """
    os.environ.update(SWITCHES)  # noqa: TID251
