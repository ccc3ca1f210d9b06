"""Readers: one file per format, chosen by the file name's suffix.

A new format is a new file and one entry in `READERS`. What most folders have little of is imported
when the first such file is read, because a worker process has to start before its first file.
"""

from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Protocol

from allma_server.documents.readers.code import CodeReader
from allma_server.documents.readers.json import JsonReader
from allma_server.documents.readers.markdown import MarkdownReader
from allma_server.documents.readers.text import TextReader
from allma_server.types import Extract

if TYPE_CHECKING:
    # It brings numpy, which a worker process can do without.
    from allma_server.ports import Reader


class _Reads(Protocol):
    def read(self, data: bytes, path: PurePath) -> Extract: ...


class LateReader:
    """Implements `ports.Reader` with a class that is imported at the first file it is to read."""

    def __init__(self, name: str, suffixes: str) -> None:
        self.name = name
        self.suffixes = frozenset(suffixes.split())

    def read(self, data: bytes, path: PurePath) -> Extract:
        return self._reader.read(data, path)

    @cached_property
    def _reader(self) -> _Reads:
        return _imported(self.name)


def _imported(name: str) -> _Reads:
    match name:
        case "html":
            from allma_server.documents.readers.html import HtmlReader

            return HtmlReader()
        case "xml":
            from allma_server.documents.readers.xml import XmlReader

            return XmlReader()
        case "mail":
            from allma_server.documents.readers.mail import MailReader

            return MailReader()
        case "pdf":
            from allma_server.documents.readers.pdf import PdfReader

            return PdfReader()
        case "docx":
            from allma_server.documents.readers.docx import DocxReader

            return DocxReader()
        case "csv":
            from allma_server.documents.readers.csv import CsvReader

            return CsvReader()
        case _:
            from allma_server.documents.readers.notebook import NotebookReader

            return NotebookReader()


_TEXT = TextReader()

READERS: "tuple[Reader, ...]" = (
    _TEXT,
    MarkdownReader(),
    CodeReader(),
    JsonReader(),
    LateReader("html", ".html .htm .xhtml .shtml"),
    LateReader(
        "xml",
        ".xml .xsd .xsl .xslt .rss .atom .rdf .opml .svg .plist .pom .wsdl .csproj .vbproj .fsproj "
        ".vcxproj .props .targets .nuspec .resx .xaml .xlf .xliff .tmx .dita .ditamap .docbook "
        ".dbk .tei .fb2 .kml .gpx .storyboard .xib .ui .iml",
    ),
    LateReader("mail", ".eml .mbox .mhtml .mht"),
    LateReader("pdf", ".pdf"),
    LateReader("docx", ".docx .docm .dotx .dotm"),
    LateReader("csv", ".csv .tsv .tab"),
    LateReader("notebook", ".ipynb"),
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
