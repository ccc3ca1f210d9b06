"""Seeds of one-time passwords, recovery codes and payment cards are masked where a word says so."""

import re

import pytest

from allma_server.secrets import mask

SEED = "MFRG GZDF MZTW Q2LK"
SOLID = SEED.replace(" ", "")


@pytest.mark.parametrize("seed", [SEED, SEED.lower(), SOLID, SOLID.lower(), SEED.replace(" ", "-")])
@pytest.mark.parametrize(
    "around",
    [
        "2FA secret: {}",
        "TOTP seed: {}",
        "Authenticator key: {}",
        "If you cannot scan it, enter this key in the authenticator app:\n{}\n",
        "Set up the Authenticator with the setup key {} (time-based).",
        "MFA: {}",
        "two-factor backup key {}",
        'otp_secret = "{}"',
        '"totp_secret": "{}",',
    ],
)
def test_the_seed_of_one_time_passwords_is_masked_in_groups_too(seed: str, around: str) -> None:
    assert seed not in mask(around.replace("{}", seed)).text


@pytest.mark.parametrize(
    "address",
    [
        "otpauth://totp/Grand%20Hotel%20(work):bob?algorithm=SHA1&secret={}",
        "otpauth://totp/Ünï:bob?issuer=X&secret={}&digits=6",
        "otpauth://hotp/x?secret={}&counter=1",
    ],
)
def test_the_seed_in_an_address_is_masked(address: str) -> None:
    masked = mask(address.replace("{}", SOLID)).text
    assert SOLID not in masked and masked.startswith("otpauth://")


LISTS = [
    "Recovery codes:\n4f9a-22bc\n8d01-77ef\na3c5-90de\n",
    "GitHub recovery codes\n\n1. a1b2c-3d4e5\n2. f6a7b-8c9d0\n3. 9e8d7-c6b5a\n",
    "Backup codes: 1234 5678, 8765 4321, 2468 1357",
    "SAVE YOUR BACKUP CODES\nKeep these.\n\n 1. 3839 5621   6. 1029 4857\n 2. 5610 2938\n",
    "Wiederherstellungscodes:\n- 83920174\n- 57203948\n",
    "Codes de secours : 4821-9374, 7192-8451, 3056-1728",
    "scratch codes: 91827364 55647382 10928374",
    '"backup_codes": ["3f8a9c21", "77bd02ee", "c0ffee12"]',
    "recovery_codes:\n  - kq7x-m2vp\n  - w9tz-h4rb\n",
    "BitLocker recovery key: 123456-234567-345678-456789-567890-678901-789012-890123",
    "Recovery key: EsTx 4yZ9 Qw3k LmN8 PqR7 VbC2 XaD1 FgH6",
]


@pytest.mark.parametrize("text", LISTS)
def test_recovery_codes_are_masked(text: str) -> None:
    masked = mask(text).text
    left = re.sub(r"(?<![\w-])\d\. ", "", masked.replace("[secret: recovery code]", "-"))
    assert "-" in left and not re.search(r"\d", left), masked
    assert masked.count("\n") == text.count("\n")


CARD = "4539 1488 0343 6467"


@pytest.mark.parametrize("card", [CARD, CARD.replace(" ", "-"), CARD.replace(" ", "")])
@pytest.mark.parametrize(
    "around",
    [
        "Card number: {}",
        "Kreditkarte: {}",
        "Please charge my Visa {} (CVC 846)",
        "carte bancaire : {}",
        'card_no: "{}"',
        '{"cardNumber":"{}","cvv":"846"}',
        "| Holder | Card | Expiry |\n|---|---|---|\n| Bob Lamp | {} | 08/28 |",
        "name,card_number\n" + "bob,{}\n" * 40,
    ],
)
def test_payment_cards_are_masked_with_their_codes(card: str, around: str) -> None:
    masked = mask(around.replace("{}", card)).text
    assert "[secret: payment card]" in masked
    assert card not in masked and "846" not in masked


PLAIN = """
An authenticator app shows SIX DIGIT CODE READ ONLY
OTP HARDWARE TOKENS WITH DISPLAY
otp length 123456 and 2fa code 123456
mfa enabled users abcdefgh ijklmnop
two-factor authentication implementations
otpauth://TYPE/LABEL?PARAMETERS
base32: MFRGGZDFMZTWQ2LK decodes to letters
Recovery codes are used when you lose your device. Store them in a safe.
Backup codes can be regenerated at 12:30 on 2024-05-01.
Error codes:⏎1001⏎1002⏎1003
emergency codes in aviation: 7500, 7600, 7700
backup codes⏎- Print them⏎- Never share them
"backup_codes": ["XXXX-XXXX", "XXXX-XXXX"]
recovery_codes = generate_codes(10)
Recovery code length: 8⏎Recovery code count: 10
The order number is 4539148803436467 and ships soon.
dashboard id 4539148803436467
card number 4539148803436468
postcard 1234 5678 9012 3456
cvv = request.POST["cvv"]
card_number: integer, cvv: 3 digits
The gate code is in src/gate.py
""".strip().split("\n")


@pytest.mark.parametrize("line", PLAIN)
def test_other_numbers_and_words_are_left_alone(line: str) -> None:
    text = line.replace("⏎", "\n")
    assert mask(text).text == text
