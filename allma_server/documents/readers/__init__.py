"""Readers: one file per format, chosen by the file name's suffix.

A new format is a new file and one name in `READERS`. A reader imports its library when it first
reads, because this registry is also loaded where nothing is ever parsed.
"""

from pathlib import PurePath
from typing import TYPE_CHECKING

from allma_server.documents.readers.code import CodeReader
from allma_server.documents.readers.csv import CsvReader
from allma_server.documents.readers.docx import DocxReader
from allma_server.documents.readers.html import HtmlReader
from allma_server.documents.readers.json import JsonReader
from allma_server.documents.readers.mail import MailReader
from allma_server.documents.readers.markdown import MarkdownReader
from allma_server.documents.readers.notebook import NotebookReader
from allma_server.documents.readers.pdf import PdfReader
from allma_server.documents.readers.text import TextReader
from allma_server.documents.readers.xml import XmlReader

if TYPE_CHECKING:
    # It brings numpy, which a worker process can do without.
    from allma_server.ports import Reader

_TEXT = TextReader()

READERS: "tuple[Reader, ...]" = (
    _TEXT,
    MarkdownReader(),
    CodeReader(),
    HtmlReader(),
    XmlReader(),
    MailReader(),
    PdfReader(),
    DocxReader(),
    JsonReader(),
    CsvReader(),
    NotebookReader(),
)

_BY_SUFFIX = {suffix: reader for reader in READERS for suffix in reader.suffixes}

# Not worth opening: the text reader would only find out that they are binary.
_OPAQUE = frozenset(
    ".7z .a .aac .apk .avi .avif .bin .bmp .bz2 .class .db .deb .dll .dmg .doc .dylib .eot .exe "
    ".flac .gguf .gif .gz .heic .ico .iso .jar .jpeg .jpg .lib .m4a .mkv .mov .mp3 .mp4 .mpeg .npy "
    ".npz .o .obj .odp .ods .odt .ogg .onnx .otf .parquet .pkl .png .ppt .pptx .psd .pt .pyc .pyd "
    ".rar .rpm .rtf .safetensors .so .sqlite .sqlite3 .swp .tar .tgz .tif .tiff .ttf .wasm "
    ".wav .webm .webp .whl .wmv .woff .woff2 .xls .xlsx .xz .zip .zst".split()
)


def reader_for(path: PurePath) -> "Reader | None":
    """The reader for a file of this name; None for formats that hold no text Allma can read.

    Unknown suffixes, and names without one, go to the text reader, which refuses binary data.
    """
    suffix = path.suffix.lower()
    return None if suffix in _OPAQUE else _BY_SUFFIX.get(suffix, _TEXT)
