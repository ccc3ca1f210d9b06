"""File types by suffix: which format a file has, and which files hold no text.

This is the only list of suffixes. The name of a format is the name of its reader's module in
`documents/readers/` and what the index stores with each document.
"""

import os
from pathlib import PurePath

LANGUAGES = {
    name: tuple(suffixes.split())
    for name, suffixes in {
        "bash": ".sh .bash .zsh .ksh .bats",
        "c": ".c .h",
        "c-sharp": ".cs",
        "cpp": ".cpp .cc .cxx .hpp .hh .hxx .ipp .cu .cuh .ino",
        "go": ".go",
        "java": ".java",
        "javascript": ".js .jsx .mjs .cjs",
        "php": ".php .phtml",
        "python": ".py .pyi .pyw",
        "ruby": ".rb .rake .gemspec",
        "rust": ".rs",
        "tsx": ".tsx",
        "typescript": ".ts .mts .cts",
    }.items()
}
"""Suffixes of the programming languages that Allma parses, each with a tree-sitter grammar."""

_UNPARSED_LANGUAGES = tuple(
    ".ada .adb .ads .asm .astro .awk .bat .cabal .clj .cljs .cljc .cmake .cmd .coffee .cr .css .d "
    ".dart .el .elm .erl .ex .exs .f .f90 .fish .for .fs .fsx .gd .glsl .gql .gradle .graphql "
    ".groovy .hcl .hlsl .hs .jl .kt .kts .less .lhs .lisp .lua .m .mk .ml .mli .mm .nim .nix .pas "
    ".pl .pm .proto .ps1 .psm1 .purs .r .re .rkt .s .sass .scala .scm .scss .sol .sql .sv .svelte "
    ".swift .tcl .tf .v .vb .vhd .vhdl .vim .vue .wgsl .zig".split()
)

FORMATS = {
    "text": tuple(
        ".txt .text .log .bib .ini .cfg .conf .toml .yaml .yml .properties .env .ics .vcf .diff "
        ".patch .nfo .list".split()
    ),
    "markdown": (".md", ".markdown", ".mdown", ".mkd", ".mdx", ".qmd", ".rmd"),
    "rst": (".rst", ".rest"),
    "asciidoc": (".adoc", ".asciidoc"),
    "org": (".org",),
    "latex": (".tex", ".ltx"),
    "subtitles": (".srt", ".vtt"),
    "po": (".po", ".pot"),
    "code": (*(each for group in LANGUAGES.values() for each in group), *_UNPARSED_LANGUAGES),
    "json": (".json", ".jsonl", ".ndjson", ".geojson", ".json5", ".jsonc"),
    "html": (".html", ".htm", ".xhtml", ".shtml"),
    "xml": tuple(
        ".xml .xsd .xsl .xslt .rss .atom .rdf .opml .svg .plist .pom .wsdl .csproj .vbproj .fsproj "
        ".vcxproj .props .targets .nuspec .resx .xaml .xlf .xliff .tmx .dita .ditamap .docbook "
        ".dbk .tei .fb2 .kml .gpx .storyboard .xib .ui .iml".split()
    ),
    "mail": (".eml", ".mbox", ".mhtml", ".mht"),
    "msg": (".msg", ".oft"),
    "archive": tuple(".zip .tar .tgz .tbz2 .txz .tar.gz .tar.bz2 .tar.xz".split()),
    "pdf": (".pdf",),
    "docx": (".docx", ".docm", ".dotx", ".dotm"),
    "spreadsheet": (".xlsx", ".xlsm", ".xltx", ".xltm", ".xlsb", ".xls", ".xlt"),
    "pptx": (".pptx", ".pptm", ".ppsx", ".ppsm", ".potx", ".potm"),
    "odf": tuple(".odt .ott .fodt .ods .ots .fods .odp .otp .fodp .odg .otg .fodg".split()),
    "epub": (".epub",),
    "rtf": (".rtf",),
    "csv": (".csv", ".tsv", ".tab"),
    "notebook": (".ipynb",),
}
"""The suffixes of each format, the usual one first. A row needs a reader of the same name."""

SLIDE_SUFFIXES = frozenset((*FORMATS["pptx"], ".odp", ".otp", ".fodp"))
"""Documents whose pages are slides."""

PICTURE_FORMAT = "image"
PICTURE_SUFFIXES = frozenset(".png .jpg .jpeg .tif .tiff .webp .bmp .gif .avif".split())
"""Pictures: they have no reader, and their text is recognised where that is possible (OCR)."""

BINARY_SUFFIXES = frozenset(
    ".ico .icns .heic .psd .ai .eps .svgz .raw "
    ".mp3 .wav .flac .ogg .m4a .aac .mp4 .mkv .mov .avi .webm .wmv .mpg .mpeg "
    ".gz .bz2 .xz .zst .7z .rar .jar .war .whl .egg .deb .rpm .dmg .iso .img .apk "
    ".exe .dll .so .dylib .a .o .obj .lib .class .pyd .wasm .bin .dat .db .sqlite .sqlite3 .mdb "
    ".ttf .otf .woff .woff2 .eot .pickle .pkl .npy .npz .parquet .feather .h5 .hdf5 .onnx .pt "
    ".pth .safetensors .gguf .ggml .mo .pyc .pyo .swp .doc .ppt .mobi .sketch .fig .blend "
    ".glb .stl .pcap .dmp .vsix".split()
)
"""Files with these suffixes are listed as skipped and never opened."""

FORMAT_BY_SUFFIX = {suffix: name for name, suffixes in FORMATS.items() for suffix in suffixes}
LANGUAGE_BY_SUFFIX = {suffix: name for name, suffixes in LANGUAGES.items() for suffix in suffixes}


def format_of(path: str | PurePath) -> str | None:
    """Return the format of a file by the suffix of its name; None when it holds no text.

    An unknown suffix, or none, means "text": the text reader refuses binary data.
    """
    # A scan asks for each file; pathlib takes five times as long.
    stem, suffix = os.path.splitext(os.path.basename(path).lower())
    for ending in (os.path.splitext(stem)[1] + suffix, suffix):
        if (name := FORMAT_BY_SUFFIX.get(ending)) is not None:
            return name
    return None if suffix in BINARY_SUFFIXES or suffix in PICTURE_SUFFIXES else "text"


def is_picture(path: str | PurePath) -> bool:
    """Return whether a file is a picture, by the suffix of its name."""
    return os.path.splitext(path)[1].lower() in PICTURE_SUFFIXES


def page_label(path: str, page: int) -> str:
    """Return how people name a page of a file: `page 3`, or `slide 3`."""
    return f"{'slide' if path.lower().endswith(tuple(SLIDE_SUFFIXES)) else 'page'} {page}"
