"""Passwords of several words are masked; sentences, labels and messages are not."""

import random

import pytest

from allma_server.secrets import mask
from tests.unit.secrets.samples import SEED_WORDS

PHRASE = " ".join(random.Random(3).sample(SEED_WORDS, 4))

AROUND = (
    """
password = "{}"
psk="{}"
wpa_passphrase={}
"adminPassword": "{}",
<add key="DbPassword" value="{}" />
<password>{}</password>
<entry key="password">{}</entry>
<property name="password"><value>{}</value></property>
password: '{}'
password: {}
export PGPASSWORD='{}'
'password' => '{}',
password = \"\"\"{}\"\"\"
password: |⏎  {}
- name: DB_PASSWORD⏎  value: "{}"
{"name": "DB_PASSWORD", "value": "{}"}
CREATE USER 'bob'@'%' IDENTIFIED BY '{}';
ConvertTo-SecureString "{}" -AsPlainText -Force
WiFi.begin("HomeNet", "{}");
nmcli dev wifi connect HomeNet password "{}"
paramiko.connect(h, username="bob", password="{}")
The wifi password is "{}".
Passwort: „{}“
Our vault password is `{}`.
| User | Password |⏎|---|---|⏎| bob | {} |
user,password⏎bob,"{}"
""".strip()
    .replace("\\", "")
    .split("\n")
)


@pytest.mark.parametrize("around", AROUND)
def test_a_password_of_several_words_is_masked_whole(around: str) -> None:
    before, after = around.replace("⏎", "\n").split("{}")
    assert mask(before + PHRASE + after).text == f"{before}[secret: password]{after}"


@pytest.mark.parametrize(
    "phrase",
    ["open the pod bay doors", "my voice is my passport 7", "blue whales 24", "a b c d e 9"],
)
def test_phrases_may_have_small_words_and_digits(phrase: str) -> None:
    assert mask(f'password = "{phrase}"').text == 'password = "[secret: password]"'


PLAIN = """
password = "Enter your new password"
"password": "Passwort vergessen? Hier klicken",
"password": "Введите пароль ещё раз",
errors["password"] = "is too short (minimum is 8 characters)"
const password = "incorrect password given";
if password == "some wrong value": fail()
password: 'cannot be blank'
password="sent over TLS only"
<password>the password of the account</password>
pass = "first pass over the tree"
"pass": "second pass over all nodes"
token = "end of line"
SECRET_SANTA = "bring a gift of 20 dollars"
auth = "Authentication and access control"
The password is "your name and date of birth".
The secret "seven blue whales" is a test of words
password: must contain 1 upper case letter
password=the one from the mail you got
password: "${DB_PASSWORD:-open sesame}"
log.info("password reset mail sent to the user")
""".strip().split("\n")


@pytest.mark.parametrize("text", [*PLAIN, "password: |\n  The password of the user that logs in"])
def test_sentences_labels_and_messages_are_left_alone(text: str) -> None:
    assert mask(text).text == text
