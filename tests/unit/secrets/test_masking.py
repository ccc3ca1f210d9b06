"""Secrets in texts are masked, what only looks like them is not, and lines stay where they are."""

import json
import random
import time
from pathlib import PurePath

import pytest

from allma_server.documents.readers import text as text_reader
from allma_server.errors import NothingToIndex
from allma_server.secrets import mask, mask_extract
from allma_server.types import Extract, Section
from tests.unit.secrets.samples import (
    AROUND_A_NAMED_TOKEN,
    AROUND_A_PASSWORD,
    AROUND_A_TOKEN,
    AROUND_AN_ADDRESS,
    HEX,
    IN_SENTENCES,
    IN_TABLES,
    NAMED_TOKENS,
    ON_COMMAND_LINES,
    PASSWORDS,
    PROVIDERS,
    SEED_WORDS,
    drawn,
    encoded,
    private_key,
    uuid,
)


def assert_masked(text: str, secret: str) -> None:
    masked = mask(text).text
    assert secret not in masked, masked
    assert "[secret: " in masked
    assert masked.count("\n") == text.count("\n")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_s_token_is_masked_wherever_it_stands(provider: str) -> None:
    for around in AROUND_A_TOKEN:
        assert_masked(around.replace("{}", PROVIDERS[provider]), PROVIDERS[provider])


@pytest.mark.parametrize("around", AROUND_A_NAMED_TOKEN)
def test_a_token_is_known_by_its_name(around: str) -> None:
    for token in NAMED_TOKENS:
        assert_masked(around.replace("{}", token), token)


@pytest.mark.parametrize("around", AROUND_A_PASSWORD)
def test_a_password_is_known_by_its_name(around: str) -> None:
    for password in PASSWORDS:
        assert_masked(around.replace("{}", password), password)


@pytest.mark.parametrize("around", AROUND_AN_ADDRESS)
def test_a_password_in_an_address_is_masked_and_the_rest_of_it_kept(around: str) -> None:
    for password in (*(p for p in PASSWORDS if "#" not in p), "hunter2", "correct-horse"):
        assert_masked(around.replace("{}", password), password)
    before, after = around.split("{}")
    assert mask(around.replace("{}", "hunter2")).text == f"{before}[secret: password]{after}"


def test_logins_in_other_forms_are_masked() -> None:
    login = encoded("bob:" + drawn(12))
    assert_masked(f"Authorization: Basic {login}", login)
    assert_masked(f'{{"auths": {{"x": {{"auth": "{login}"}}}}}}', login)
    for digest in (f"$apr1${drawn(8)}${drawn(22)}", f"$2b$12${drawn(53)}"):
        assert_masked(f"bob:{digest}", digest)
    key = encoded(private_key())
    assert_masked(f"client-key-data: {key}", key)


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
def test_a_private_key_is_masked_whole_whatever_form_it_has(kind: str) -> None:
    key = private_key(kind)
    first, *body, _ = key.split("\n")
    forms = (
        f"Notes\n\n{key}\n\nmore",
        '"private_key": "' + key.replace("\n", "\\n") + '\\n",',
        "key: |\n" + "\n".join(f"    {line}" for line in key.split("\n")) + "\nnext: 1",
        "\n".join(f"# {line}" for line in key.split("\n")),
        "\n".join([first, *body[:6]]),
        key.replace("\n", "\r\n"),
    )
    for text in forms:
        for line in body[:6]:
            assert_masked(text, line)


@pytest.mark.parametrize("sentence", IN_SENTENCES)
def test_a_password_in_a_sentence_is_masked(sentence: str) -> None:
    for password in (*PASSWORDS, "hunter2"):
        assert_masked(sentence.replace("{}", password), password)


@pytest.mark.parametrize("table", IN_TABLES)
def test_a_password_in_a_table_is_masked(table: str) -> None:
    for password in (*PASSWORDS, "hunter2"):
        masked = mask(table.replace("{}", password)).text
        assert masked.replace('"', "") == table.replace("{}", "[secret: password]").replace('"', "")


@pytest.mark.parametrize("command", ON_COMMAND_LINES)
def test_a_password_on_a_command_line_is_masked_and_nothing_else(command: str) -> None:
    for password in ("Winter2024Harz", "x9kLm2Qp4w"):
        masked = mask(command.replace("{}", password)).text
        assert masked == command.replace("{}", "[secret: password]")


def test_a_quoted_password_on_a_command_line_is_masked_to_its_end() -> None:
    assert_masked("mysql -u bob -p'blue Harz 24' shop", "Harz 24")


def test_options_that_take_no_password_are_left_alone() -> None:
    text = """
docker run -p 8080:80 nginx    docker login -u bob -p $PASS r    docker login --password-stdin
redis-cli -p 6379 ping    redis-cli -a $REDIS_PASSWORD ping    mongo -p 27017    mkdir -p a1/b2
ldapsearch -x -W -D cn=admin1    unzip -P password a.zip    mysql -u root -P3306 -pPASSWORD shop
openssl enc -k <pass> -in f1    sqlplus / as sysdba    net use Z: \\\\files\\home2 /persistent:yes
echo "user:password" | chpasswd    echo a:b1c2d3e | tee x    7z archives (-p for passwords)
"""
    assert mask(text).text == text


def test_a_token_in_the_address_of_a_bot_is_masked() -> None:
    token = f"123456789:AA{drawn(33)}"
    assert_masked(f"https://api.telegram.org/bot{token}/sendMessage", token)


def test_all_cells_of_a_named_column_are_masked_and_no_other() -> None:
    rows = "\n".join(f"user{n},{drawn(10)}1,{n}" for n in range(50))
    masked = mask(f"login,n\nx,y\n\nuser,Passwort,n\n{rows}\n\nuser99,Sommer2024,1\n").text
    assert masked.count("[secret: password]") == 50 and "user7," in masked and ",49" in masked
    assert "Sommer2024" in masked
    # Plain words are passwords beside their users, not where a table describes a parameter.
    assert "swordfish" not in mask("| Login | Password |\n|-|-|\n| bob | swordfish |").text
    described = "| Name | Type | Password |\n|-|-|-|\n| realm | text | optional |\n"
    assert mask(described).text == described


def test_passphrases_of_words_and_passwords_behind_a_dash_are_masked() -> None:
    assert_masked("Password: correct-horse-battery-staple", "correct-horse-battery-staple")
    assert_masked("- password - Winter2024!", "Winter2024!")
    assert mask("The fix is state-of-the-art.").spans == ()


def test_tokens_and_pins_are_known_by_what_names_them() -> None:
    token = drawn(32)
    for text in ("The token is {}.", "The API key for the map is: {}", "| API key | {} |"):
        assert_masked(text.replace("{}", token), token)
    for text in (
        "PIN: {}",
        "The PIN is {}.",
        "PUK: {}",
        "Passcode: {}",
        "| User | PIN |\n|-|-|\n| bob | {} |",
    ):
        assert_masked(text.replace("{}", "48213"), "48213")


@pytest.mark.parametrize("size", [12, 24])
def test_the_words_that_open_a_wallet_are_masked(size: int) -> None:
    chance = random.Random(size)
    drawn_words = [chance.choice(SEED_WORDS) for _ in range(size)]
    words = " ".join(drawn_words)
    numbered = "\n".join(f"{n}. {word}" for n, word in enumerate(drawn_words, 1))
    for text in (
        f"Seed phrase: {words}",
        f"The recovery phrase is {words}.",
        f"Mnemonic:\n\n{words}\n",
        f"Seed words:\n{numbered}\n",
        f'SEED_PHRASE="{words}"',
        f"Recovery phrase: {', '.join(drawn_words)}",
    ):
        masked = mask(text).text
        assert "[secret: seed phrase]" in masked, text
        assert not any(word in masked for word in drawn_words), masked


@pytest.mark.parametrize("indent", [None, 2])
def test_the_private_members_of_a_web_key_are_masked(indent: int | None) -> None:
    public = {"kty": "RSA", "n": drawn(86), "e": "AQAB", "kid": "2024-01", "alg": "RS256"}
    private = {name: drawn(43) for name in ("d", "p", "q", "dp", "dq", "qi")}
    for key in (public | private, private | public):
        keys = {"keys": [key, {"kty": "oct", "k": drawn(43)}]}
        masked = mask(json.dumps(keys, indent=indent))
        assert len(masked.spans) == 7
        assert not any(value in masked.text for value in private.values())
        assert public["n"] in masked.text and "2024-01" in masked.text
    assert mask(json.dumps(public)).text == json.dumps(public)


def test_the_seed_of_one_time_passwords_is_masked() -> None:
    seed = drawn(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
    assert_masked(f"otpauth://totp/Shop:bob?secret={seed}&issuer=Shop", seed)


ABOUT_PASSWORDS = """
The password is required. The password is optional and must be at least 12 characters.
Your password must be 8-64 characters long. The password is hashed with SHA-256 or bcrypt2.
The password is stored in config2.yml. The password is "required". Passwords are sent to host1:80.
If the password is None, it is asked for. The password is the same as user1. The token is expired.
Password: required. Password: at least 8 characters, 1 digit. Token: a string. PIN: pin 13 of 40.
The password is user@example.com by default. The password is base64-encoded. PIN: 8
The password is changed every 90 days. The default password is "password". Login: English / German
A mot de passe est requis. Das Passwort ist erforderlich. La contraseña es obligatoria.
Password strength is level3. The passphrase to X509 keys is 2048bit. Password - see RFC2617.
A recovery phrase is a list of words from which a wallet can be made anew, so write it down now.
The seed words are chosen from a list of words that were sent to the printers in the old house

| Parameter | Type | Password | Description |
|---|---|---|---|
| user | string | required | The password of the user |
| Token | string | sha256 | utf-8 |
| Password | string | no | 8-character |

gkm/gkm-secret-key.c       |  2 +-
gkm/gkm-certificate2.c     |  7 +++++--

an empty table: r:err_headers_out_table() is of a picky=true kind, r:subprocess_env_table2()
The password is locked\\&. passwd.1, man/pl/passwd.1, man/es/passwd.5, man/de/login.1
How strength of a password is checked (see http://bugs.example.org/115380)

token,count
utf-8,3
covid-19,77
"""


def test_texts_about_passwords_are_left_alone() -> None:
    assert mask(ABOUT_PASSWORDS).text == ABOUT_PASSWORDS


PLAIN = f"""
password = "your-password-here"   password = os.environ["DB_PASSWORD"]   password: <password>
password = get_password()   token = parts[0]   password: str | None = None   password = None
api_key = "YOUR_API_KEY"   api_key: ${{API_KEY}}   token: "{{{{ secrets.TOKEN }}}}"   password=***
token_type = "bearer"   max_tokens = 4096   password_field = "form-password-1"
postgres://user:password@localhost/db   https://example.com:8080/path@v2   http://[::1]:80/
AKIAIOSFODNN7EXAMPLE   wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY
sha256 = "{drawn(64, HEX)}"   commit {drawn(40, HEX)}   id: {uuid()}   etag: "{drawn(32, HEX)}"
integrity "sha512-{drawn(86)}=="   color: #a1b2c3   next_token = "{drawn(40)}"
The password must have eight characters. The token expires. Pass "--verbose" to see more.
Choose a password longer-than-8
define PASSWORD_LENGTH 12ab34CD56
requests.get(url, auth=("user", "pass"))   curl -p Th1sIsAP4th   enable secret
PASS: tests/test_7.py   FAIL: x1   A private key begins with -----BEGIN PRIVATE KEY-----.
def authorize(token: Token2, secret_name: str = "prod/db2-main") -> None: ...
const tokenPattern = /[a-z0-9]{{16,}}/;   secretKeyRef: {{ name: db-credentials, key: password1 }}
"""


def test_what_only_speaks_of_secrets_is_left_alone() -> None:
    assert mask(PLAIN).text == PLAIN


def test_places_stay_true(seed: int = 7) -> None:
    chance = random.Random(seed)
    words = [*PROVIDERS.values(), private_key(), *("plain words of no meaning at all".split() * 20)]
    chance.shuffle(words)
    paragraphs = [f"P{number} {word}" for number, word in enumerate(words)]
    text = "\n\n".join(paragraphs)
    starts = [text.index(paragraph) for paragraph in paragraphs]
    sections = tuple(
        Section(start, end, heading=(f"P{number}",), breaks=(start,))
        for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(text)], strict=True))
    )
    masked = mask_extract(Extract(text, sections))
    assert masked.sections[-1].end == len(masked.text)
    for number, section in enumerate(masked.sections):
        assert masked.text[section.start :].startswith(f"P{number} ")
        assert section.breaks == (section.start,)
        assert masked.text[: section.start].count("\n") == text[: starts[number]].count("\n")
    assert masked.metadata["secrets masked"] == str(len(PROVIDERS) + 1)


def test_sections_that_end_inside_a_secret_still_cover_the_text() -> None:
    text = f"{'Before. ' * 40}\n{private_key()}\nAfter."
    cuts = range(0, len(text), 40)
    sections = tuple(
        Section(start, min(start + 40, len(text)), breaks=(start, start + 1)) for start in cuts
    )
    masked = mask_extract(Extract(text, sections))
    ends = [0, *(section.end for section in masked.sections)]
    assert ends[-1] == len(masked.text) and "After." in masked.text
    for section, end in zip(masked.sections, ends, strict=False):
        assert section.start == end < section.end
        assert all(section.start <= offset < section.end for offset in section.breaks)


def test_titles_headings_and_repeated_rows_are_masked_too() -> None:
    token = PROVIDERS["github"]
    section = Section(0, 5, heading=(f"Key {token}",), repeat=f"id,{token}")
    extract = Extract("words", (section,), f"On {token}", {"author": token}, lines=(4,))
    masked = mask_extract(extract)
    assert token not in repr(masked) and masked.lines == (4,)


def test_a_file_that_is_nothing_but_secrets_is_no_document() -> None:
    exported = "name,url,username,password\nshop,https://s.example,bob,plainwords\n"
    for content in (private_key(), f"\n{private_key('EC ')}\n", exported):
        with pytest.raises(NothingToIndex, match="secrets"):
            mask_extract(text_reader.read(content.encode(), PurePath("notes.txt")))
    note = f"# How to renew the key\n\n{private_key(lines=3)}\n" + "Ask Bob before you do. " * 30
    assert "Ask Bob" in mask_extract(Extract(note, ())).text


@pytest.mark.parametrize(
    "unit",
    [
        "password",
        "a" * 50,
        "AKIA",
        "-----BEGIN PRIVATE KEY-----\n",
        "://a:",
        "eyJ.",
        "'\"=",
        "--token ",
        "zip -",
        "docker login ",
        "recovery codes: ",
        "backup codes 1234 5678 ",
        "card 4539 1488 0343 6467 ",
        "2fa abcd ",
        "username a password ",
        "snmp-server user a ",
        "password: <b><b><b><b>",
        "password: |\n ",
        'password="a b c d e f g ',
        "password=ENC(",
        "User Password\n",
        "User Password\na b\n",
        "otpauth://x?secret=",
    ],
)
def test_hostile_texts_take_time_in_proportion(unit: str) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        began = time.process_time()
        mask(text)
        return time.process_time() - began

    small = min(seconds(50_000) for _ in range(3))
    assert seconds(400_000) < 24 * max(small, 0.02)
