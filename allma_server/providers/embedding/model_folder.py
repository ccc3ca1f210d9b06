"""Read a folder in the layout of sentence-transformers: its files, and how its vectors are made.

    modules.json                         the steps: Transformer, Pooling, perhaps Normalize
    model.onnx or onnx/model.onnx        the Transformer, with external data beside it, if any
    tokenizer.json                       in the format of the tokenizers library
    1_Pooling/config.json                how one vector is made of the vectors of the tokens
    sentence_bert_config.json            optional: the maximum number of tokens
    config_sentence_transformers.json    optional: prefixes of queries and documents

Links are followed, because the cache of Hugging Face consists of them.
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from allma_server.errors import InvalidArgument, ModelNotFound, ModelUnsuitable
from allma_server.providers.embedding.cards import card_of

LAYOUT = (
    "Choose a folder in the layout of sentence-transformers: modules.json, model.onnx or "
    "onnx/model.onnx, tokenizer.json and 1_Pooling/config.json."
)
MAX_DIMENSIONS = 4096
MAX_TOKENS = 8192
"""Of one text; longer inputs are cut. Attention takes memory that grows with its square."""

_MAX_JSON_BYTES = 1 << 20
_DEFAULT_TOKENS = 512
"""The limit of nearly all embedding models."""

_DATA_SUFFIXES = ("data", ".bin", ".weight", ".weights")
"""Of files with weights that an ONNX file refers to; their names are free."""

Pooling = Literal["mean", "cls", "max"]

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """What a folder says about its model.

    `is_projected`: a dense layer follows the pooling, so the ONNX model must contain both.
    `digest` identifies the files and how they are used. `status` tells whether they have changed.
    """

    path: Path
    model: Path
    tokenizer: Path
    pooling: Pooling
    is_projected: bool
    dimensions: int
    max_tokens: int
    document: str
    query: str
    digest: str
    status: tuple[tuple[str, int, int], ...]

    def has_changed(self) -> bool:
        """Return whether a file was changed since the folder was read."""
        try:
            return self.status != _status(_files(self.model, self.tokenizer))
        except OSError:
            return True


def read_model_folder(name: str) -> ModelFolder:
    """Read the folder `name`: an absolute path, or one that begins with `~`. Reads all its files.

    Raises:
        InvalidArgument: `name` is no absolute path.
        ModelNotFound: there is no such folder, or it lacks a file.
        ModelUnsuitable: a file cannot be used.
    """
    folder = _folder(name)
    model = _first(folder, "model.onnx", "onnx/model.onnx")
    tokenizer = _first(folder, "tokenizer.json", "onnx/tokenizer.json")
    steps = _steps(folder)
    pooling = _json(_first(folder, f"{steps['Pooling']}/config.json"), _Pooling)
    prefixes = _prefixes(folder)
    max_tokens = _max_tokens(folder)
    dimensions = pooling.word_embedding_dimension
    is_projected = "Dense" in steps
    if is_projected:
        dense = _json(_first(folder, f"{steps['Dense']}/config.json"), _Dense)
        dimensions = dense.out_features
    if dimensions > MAX_DIMENSIONS:
        raise ModelUnsuitable(
            f"The model in {folder} gives vectors of {dimensions} dimensions; "
            f"{MAX_DIMENSIONS} is the most.",
            "Choose a smaller model.",
        )
    mode = pooling.mode(folder)
    digest = hashlib.sha256(repr((mode, max_tokens, prefixes, dimensions)).encode())
    files = [_regular(file) for file in _files(model, tokenizer)]
    try:
        status = _status(files)
        for file in files:
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    except OSError as exc:
        raise ModelUnsuitable(
            f"A file of the model in {folder} cannot be read: {exc.strerror or exc}.", LAYOUT
        ) from exc
    return ModelFolder(
        folder, model, tokenizer, mode, is_projected, dimensions, max_tokens, *prefixes,
        digest.hexdigest()[:16], status,
    )  # fmt: skip


# --- files --------------------------------------------------------------------------------------


def _folder(name: str) -> Path:
    if "\0" in name:
        raise InvalidArgument("The path of the embedding model contains a zero byte.", LAYOUT)
    try:
        path = Path(name).expanduser()
    except RuntimeError:  # no home folder, or no such user
        path = Path(name)
    if not path.is_absolute():
        raise InvalidArgument(
            f"onnx/{name} does not name the whole path of a folder.",
            "Write onnx/ and then the path from the root, as in onnx//home/me/models/bge-small, "
            "or onnx/~/models/bge-small.",
        )
    try:
        kind = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise ModelNotFound(f"The folder {path} does not exist.", LAYOUT) from exc
    except OSError as exc:
        reason = exc.strerror or exc
        raise ModelUnsuitable(f"The folder {path} cannot be read: {reason}.", LAYOUT) from exc
    if not stat.S_ISDIR(kind):
        raise ModelUnsuitable(f"{path} is not a folder.", LAYOUT)
    return path


def _first(folder: Path, *names: str) -> Path:
    """Return the first of these files that exists."""
    for name in names:
        if os.path.lexists(path := folder / name):
            return _regular(path)
    raise ModelNotFound(f"There is no {names[0]} in {folder}.", LAYOUT)


def _regular(path: Path) -> Path:
    """Return `path` if it leads to a regular file; to open a pipe would wait for its writer."""
    try:
        if stat.S_ISREG(path.stat().st_mode):
            return path
    except FileNotFoundError as exc:
        raise ModelNotFound(f"{path} is a link to a file that does not exist.", LAYOUT) from exc
    except OSError as exc:
        raise ModelUnsuitable(f"{path} cannot be read: {exc.strerror or exc}.", LAYOUT) from exc
    raise ModelUnsuitable(f"{path} is not a regular file.", LAYOUT)


def _files(model: Path, tokenizer: Path) -> list[Path]:
    """Return the files that decide the vectors. An ONNX file of over 2 GB keeps its weights apart.

    Which files these are is only written inside it, so all that may contain weights are taken.
    """
    return [model, tokenizer, *sorted(_data_files(model))]


def _data_files(model: Path) -> Iterator[Path]:
    for path in model.parent.iterdir():
        is_data = path.name.startswith(f"{model.name}.") or path.name.startswith(f"{model.name}_")
        if path != model and (is_data or path.name.endswith(_DATA_SUFFIXES)) and path.is_file():
            yield path


def _status(files: Sequence[Path]) -> tuple[tuple[str, int, int], ...]:
    found = [(file, file.stat()) for file in files]
    return tuple((str(file), status.st_size, status.st_mtime_ns) for file, status in found)


# --- contents -----------------------------------------------------------------------------------


class _Json(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Module(_Json):
    type: str
    path: str = ""


class _Dense(_Json):
    out_features: int = Field(gt=0)


class _Pooling(_Json):
    word_embedding_dimension: int = Field(gt=0)
    pooling_mode: str | None = None
    pooling_mode_cls_token: bool = False
    pooling_mode_mean_tokens: bool = False
    pooling_mode_max_tokens: bool = False
    pooling_mode_mean_sqrt_len_tokens: bool = False
    pooling_mode_weightedmean_tokens: bool = False
    pooling_mode_lasttoken: bool = False
    include_prompt: bool = True

    def mode(self, folder: Path) -> Pooling:
        """Raises ModelUnsuitable for a mode that is not supported, or several."""
        # The mean divided by the root of the length has the same direction as the mean.
        modes: Mapping[str, bool] = {
            "mean": self.pooling_mode_mean_tokens or self.pooling_mode_mean_sqrt_len_tokens,
            "cls": self.pooling_mode_cls_token,
            "max": self.pooling_mode_max_tokens,
            "weightedmean": self.pooling_mode_weightedmean_tokens,
            "lasttoken": self.pooling_mode_lasttoken,
        }
        chosen = [name for name, is_chosen in modes.items() if is_chosen]
        if self.pooling_mode is not None:
            chosen = [self.pooling_mode]
        for mode in ("mean", "cls", "max"):
            if chosen == [mode] and self.include_prompt:
                return mode
        how = " and ".join(chosen) or "none"
        how += "" if self.include_prompt else " without the prefix"
        raise ModelUnsuitable(
            f"The model in {folder} pools its tokens in a way that is not supported: {how}.",
            "Choose a model that pools by mean, cls or max.",
        )


class _Prompts(_Json):
    prompts: dict[str, str | None] = Field(default_factory=dict[str, "str | None"])
    default_prompt_name: str | None = None


class _Limits(_Json):
    """Of sentence_bert_config.json, tokenizer_config.json and config.json, whichever has it."""

    max_seq_length: int | None = Field(default=None, gt=2)
    model_max_length: float | None = Field(default=None, gt=2)  # 1e30 where there is none
    max_position_embeddings: int | None = Field(default=None, gt=4)
    model_type: str = ""
    name_or_path: str = Field(default="", alias="_name_or_path")


def _json(path: Path, model: type[M]) -> M:
    return _checked(path, TypeAdapter(model))


def _checked(path: Path, adapter: TypeAdapter[Any]) -> Any:
    """Raises ModelUnsuitable for a file that is too large, or not as expected."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_JSON_BYTES + 1)
    except OSError as exc:
        raise ModelUnsuitable(f"{path} cannot be read: {exc.strerror or exc}.", LAYOUT) from exc
    if len(content) > _MAX_JSON_BYTES:
        raise ModelUnsuitable(f"{path} is larger than {_MAX_JSON_BYTES >> 20} MB.", LAYOUT)
    try:
        return adapter.validate_json(content)
    except ValidationError as exc:
        error = exc.errors(include_url=False)[0]
        where = ".".join(map(str, error["loc"]))
        problem = f"{where}: {error['msg']}" if where else error["msg"]
        raise ModelUnsuitable(f"{path} cannot be used: {problem}.", LAYOUT) from exc


def _optional(path: Path, model: type[M]) -> M:
    return _json(_regular(path), model) if os.path.lexists(path) else model()


_KNOWN_STEPS = {"Transformer", "Pooling", "Normalize", "Dense"}


def _steps(folder: Path) -> Mapping[str, str]:
    """Return the folder of each step by its class name.

    Raises:
        ModelUnsuitable: the steps are not those of an embedding model for texts.
    """
    path = _first(folder, "modules.json")
    modules: list[_Module] = _checked(path, TypeAdapter(list[_Module]))
    names = [module.type.rsplit(".", 1)[-1] for module in modules]
    steps = {name: module.path for name, module in zip(names, modules, strict=True)}
    if any(Path(step).is_absolute() or ".." in Path(step).parts for step in steps.values()):
        raise ModelUnsuitable(f"modules.json in {folder} refers to another folder.", LAYOUT)
    if names[:2] != ["Transformer", "Pooling"] or not steps.keys() <= _KNOWN_STEPS:
        raise ModelUnsuitable(
            f"The model in {folder} is not a transformer with a pooling of its tokens, but has the "
            f"modules {', '.join(names) or '(none)'}.",
            "Choose another embedding model for texts.",
        )
    return steps


def _prefixes(folder: Path) -> tuple[str, str]:
    """Return the prefixes of documents and queries: the model's own, else those of its card."""
    found = _optional(folder / "config_sentence_transformers.json", _Prompts)
    prompts = {name: text for name, text in found.prompts.items() if text is not None}
    if any(prompts.values()):
        default = prompts.get(found.default_prompt_name or "", "")
        names = ("document", "passage", "corpus")
        document = next((prompts[name] for name in names if name in prompts), default)
        return document, prompts.get("query", default)
    # A folder of Hugging Face's cache: models--intfloat--e5-small-v2/snapshots/REVISION
    cached = folder.parent.parent.name.replace("--", "/")
    for name in (folder.name, cached, _optional(folder / "config.json", _Limits).name_or_path):
        card = card_of(name)
        if card.document or card.query:
            return card.document, card.query
    return "", ""


def _max_tokens(folder: Path) -> int:
    files = ("sentence_bert_config.json", "tokenizer_config.json", "config.json")
    own, tokenizer, config = (_optional(folder / name, _Limits) for name in files)
    limits = [own.max_seq_length or tokenizer.model_max_length or _DEFAULT_TOKENS, MAX_TOKENS]
    if positions := config.max_position_embeddings:
        # RoBERTa's positions begin after that of the padding.
        limits.append(positions - 2 * (config.model_type in ("roberta", "xlm-roberta")))
    return int(min(limits))
