"""Secrets are masked in what the readers make of files of each format."""

import io
import json
from pathlib import PurePath

import docx
import pytest

from allma_server.documents.readers import reader_for
from allma_server.secrets import mask_extract
from tests.unit.documents.pdf_files import pdf_with_pages

PASSWORD, PHRASE = "N0rdlicht7x!", "lantern orbit walnut pencil"
TOKEN, SEED, CARD = "glpat-Zk7Qm2Vx9Lp4Rt6Wn8Yd", "MFRG GZDF MZTW Q2LK", "4539 1488 0343 6467"
SECRETS = (PASSWORD, PHRASE, TOKEN, SEED, CARD)
VALUES = {"password": PASSWORD, "passphrase": PHRASE, "token": TOKEN, "totp_secret": SEED}


def word_file() -> bytes:
    document = docx.Document()
    document.add_paragraph(f"The password is {PASSWORD}.")
    rows = (("Service", "User", "Password"), ("NAS", "bob", PHRASE), ("Pi", "eve", PASSWORD))
    table = document.add_table(len(rows), 3)
    for number, row in enumerate(rows):
        for cell, text in zip(table.rows[number].cells, row, strict=True):
            cell.text = text
    token = document.add_paragraph("Token: ")
    for part in (TOKEN[:9], TOKEN[9:15], TOKEN[15:]):
        token.add_run(part)
    document.add_paragraph(f"2FA secret: {SEED}")
    document.add_paragraph(f"Card number: {CARD}")
    content = io.BytesIO()
    document.save(content)
    return content.getvalue()


def notebook() -> str:
    output = {"output_type": "stream", "name": "stdout", "text": [f"2FA secret: {SEED}\n"]}
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": [f"Password: {PASSWORD}\n"]},
        {
            "cell_type": "code",
            "metadata": {},
            "execution_count": 1,
            "source": [f'password = "{PHRASE}"\n', f"token = '{TOKEN}'\n# card: {CARD}"],
            "outputs": [output],
        },
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


FILES: dict[str, str | bytes] = {
    "a.html": f"<h1>Setup</h1><table><tr><th>Service</th><th>User</th><th>Password</th></tr>"
    f"<tr><td>NAS</td><td>bob</td><td>{PASSWORD}</td></tr><tr><td>Pi</td><td>eve</td>"
    f"<td>{PHRASE}</td></tr></table><dl><dt>Password</dt><dd>{PASSWORD}</dd></dl>"
    f"<p>Token: <code>{TOKEN}</code></p><p>2FA secret: <b>{SEED}</b></p><ul><li>Card: {CARD}</li>",
    "a.json": json.dumps({"db": VALUES, "card_number": CARD}, indent=2),
    "b.json": json.dumps({"env": [{"name": "DB_PASSWORD", "value": PASSWORD}]}),
    "a.yaml": "".join(f"{k}: {v}\n" for k, v in VALUES.items())
    + f"card: {CARD}\nother_password: >-\n  {PASSWORD}\n",
    "a.toml": "".join(f'{k} = "{v}"\n' for k, v in VALUES.items()) + f'card = "{CARD}"\n',
    "a.properties": "".join(f"db.{k}={v}\n" for k, v in VALUES.items()) + f"card={CARD}\n",
    "a.ini": f"[db]\npassword = {PASSWORD}\npassphrase={PHRASE}\ntoken = {TOKEN}\n",
    "a.xml": f'<config><db user="bob" password="{PASSWORD}"/><password>{PHRASE}</password>'
    f'<set name="password" value="{PASSWORD}"/><entry key="passphrase">{PHRASE}</entry></config>',
    "a.csv": f"service,user,password,card number\nnas,bob,{PASSWORD},{CARD}\npi,eve,{PHRASE},x\n",
    "b.csv": f"name,value\nAPI token,{TOKEN}\nDB password,{PASSWORD}\n2FA secret,{SEED}\n",
    "a.md": f"| Service | User | Password |\n|---|---|---|\n| NAS | bob | {PASSWORD} |\n"
    f"| Pi | eve | {PHRASE} |\n\n**Token:** `{TOKEN}`\n\n- 2FA secret: `{SEED}`\n- Card: {CARD}\n",
    "a.tex": f"The password is \\texttt{{{PASSWORD}}}. Token: \\verb|{TOKEN}|.\n",
    "a.rst": f":Password: {PASSWORD}\n\n::\n\n    export DB_PASSWORD='{PHRASE}'\n",
    "a.eml": f"From: a@example.com\nSubject: Your password: {PASSWORD}\n\nToken: {TOKEN}\n",
    "a.ipynb": notebook(),
    "a.docx": word_file(),
    "a.pdf": pdf_with_pages(
        f"Service User Password\nNAS bob {PASSWORD}",
        f"The password is {PASSWORD}.\nToken: {TOKEN}\n2FA secret: {SEED}\nCard number: {CARD}",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_no_secret_is_left_in_what_a_reader_returns(name: str) -> None:
    path, content = PurePath(name), FILES[name]
    reader = reader_for(path)
    assert reader is not None
    extract = reader(content.encode() if isinstance(content, str) else content, path)
    masked = repr(mask_extract(extract))
    assert "[secret: " in masked
    assert [secret for secret in SECRETS if secret in masked] == []
