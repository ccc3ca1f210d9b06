"""Recognition by RapidOCR (Apache-2.0), whose models are in its package: it works offline.

They know Latin letters, Chinese and Japanese.
"""

import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from allma_server.documents.ocr.lines import Line
from allma_server.documents.ocr.page_images import Pixels

_COMMA = re.compile(r"(?<=[a-zà-ÿ])([,;])(?=[a-zà-ÿ])", re.IGNORECASE)
"""A comma after which it often leaves out the space."""


def load() -> "RapidRecogniser":
    """Load the models."""
    return RapidRecogniser()


class RapidRecogniser:
    """Finds lines, turns those that are upside down, and reads them; on one thread."""

    def __init__(self) -> None:
        package: Any = import_module("rapidocr")  # of an extra
        models = Path(package.__file__).parent / "models"
        # Named, because it downloads a model that it does not find.
        paths = {f"{part}.model_path": _model(models, part.lower()) for part in _PARTS}
        threads = {f"{_ENGINE}.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
        params = {"Global.log_level": "error", **paths, **threads}
        self._run: Any = package.RapidOCR(params=params)

    def __call__(self, pixels: Pixels) -> Sequence[Line]:
        found = self._run(np.ascontiguousarray(pixels[:, :, ::-1]))  # it takes blue first
        if found.txts is None or found.boxes is None:
            return []
        return [
            Line(
                _COMMA.sub(r"\1 ", text), float(score), tuple((float(x), float(y)) for x, y in box)
            )
            for text, score, box in zip(found.txts, found.scores, found.boxes, strict=True)
        ]


_PARTS = ("Det", "Cls", "Rec")
_ENGINE = "EngineConfig.onnxruntime"


def _model(folder: Path, part: str) -> str:
    return str(max(folder.glob(f"*_{part}_*.onnx")))
