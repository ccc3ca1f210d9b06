"""Secrets: files that hold nothing else are never read, those inside other files are masked.

`names.py` knows files and folders by their names. In texts, `forms.py` finds secrets by their form,
`contexts.py` by what stands around them, `options.py` on command lines, `assignments.py` by the
name that programs and settings give them, `devices.py` in lines of network devices, `prose.py` and
`tables.py` by the words of `labels.py` in sentences and in tables. `codes.py` knows seeds of
one-time passwords, recovery codes and payment cards. `values.py` and `passphrases.py` tell values
from words about them, `rules.py` finds where to look, `masking.py` puts a word in their place.
"""

from allma_server.secrets.masking import COUNT, MASKED, Masked, mask, mask_extract, masked
from allma_server.secrets.names import FOLDERS, is_in_secret_folder, is_secret_file

__all__ = [
    "COUNT",
    "FOLDERS",
    "MASKED",
    "Masked",
    "is_in_secret_folder",
    "is_secret_file",
    "mask",
    "mask_extract",
    "masked",
]
