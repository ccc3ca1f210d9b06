"""Secrets that open nothing, drawn by chance, so that no file of ours looks as if it held one."""

import base64
import json
import random
import string

LETTERS = string.ascii_letters + string.digits
CAPITALS = string.ascii_uppercase + string.digits
HEX = "0123456789abcdef"
BASE64 = LETTERS + "+/"

_chance = random.Random(1)


def drawn(size: int, alphabet: str = LETTERS) -> str:
    return "".join(_chance.choice(alphabet) for _ in range(size))


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def uuid() -> str:
    return "-".join(drawn(size, HEX) for size in (8, 4, 4, 4, 12))


def private_key(kind: str = "RSA ", lines: int = 12) -> str:
    mark = f"{kind}PRIVATE KEY-----"
    body = "\n".join(drawn(64, BASE64) for _ in range(lines))
    return f"-----BEGIN {mark}\n{body}\n-----END {mark}"


def web_token() -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": drawn(8), "iat": 1_700_000_000})
    heads = [encoded(json.dumps(part)).rstrip("=") for part in parts]
    return ".".join([*heads, drawn(43)])


PROVIDERS = {
    "aws": "AKIA" + drawn(16, CAPITALS),
    "google": "AIza" + drawn(35),
    "google oauth": "GOCSPX-" + drawn(28),
    "azure": drawn(3) + "8Q~" + drawn(34),
    "digitalocean": "dop_v1_" + drawn(64, HEX),
    "alibaba": "LTAI" + drawn(20),
    "github": "ghp_" + drawn(36),
    "github fine-grained": f"github_pat_{drawn(22)}_{drawn(59)}",
    "gitlab": "glpat-" + drawn(20),
    "atlassian": f"ATATT3{drawn(180)}={drawn(8, CAPITALS)}",
    "npm": "npm_" + drawn(36),
    "pypi": "pypi-AgEIcHlwaS5vcmc" + drawn(150),
    "docker": "dckr_pat_" + drawn(27),
    "openai": f"sk-proj-{drawn(60)}T3BlbkFJ{drawn(60)}",
    "anthropic": f"sk-ant-api03-{drawn(93)}AA",
    "openrouter": "sk-or-v1-" + drawn(64, HEX),
    "hugging face": "hf_" + drawn(34),
    "groq": "gsk_" + drawn(52),
    "replicate": "r8_" + drawn(37),
    "slack": f"xoxb-{drawn(12, string.digits)}-{drawn(12, string.digits)}-{drawn(24)}",
    "telegram": f"{drawn(10, '123456789')}:AA{drawn(33)}",
    "discord": f"M{drawn(23)}.{drawn(6)}.{drawn(38)}",
    "sendgrid": f"SG.{drawn(22)}.{drawn(43)}",
    "mailgun": "key-" + drawn(32, HEX),
    "mailchimp": drawn(32, HEX) + "-us12",
    "twilio": "SK" + drawn(32, HEX),
    "stripe": "sk_live_" + drawn(24),
    "stripe webhook": "whsec_" + drawn(32),
    "square": "sq0csp-" + drawn(43),
    "shopify": "shpat_" + drawn(32, HEX),
    "linear": "lin_api_" + drawn(40),
    "notion": "ntn_" + drawn(46),
    "figma": "figd_" + drawn(40),
    "airtable": f"pat{drawn(14)}.{drawn(64, HEX)}",
    "new relic": "NRAK-" + drawn(27, CAPITALS),
    "grafana": f"glsa_{drawn(32)}_{drawn(8, HEX)}",
    "databricks": "dapi" + drawn(32, HEX),
    "vault": "hvs." + drawn(24),
    "terraform": f"{drawn(14)}.atlasv1.{drawn(67)}",
    "age": "AGE-SECRET-KEY-1" + drawn(58, CAPITALS),
    "web token": web_token(),
}

AROUND_A_TOKEN = (
    'x = "{}"', "export X={}", "see {} here", "- id: {}", "//host/:x={}", "<b>{}</b>", "\\n{}\\n",
)  # fmt: skip

NAMED_TOKENS = (drawn(32), drawn(32, HEX), drawn(40, BASE64), drawn(64, HEX), uuid())

AROUND_A_NAMED_TOKEN = (
    'api_key = "{}"', "API_KEY={}", 'apiKey: "{}",', "x-api-key: {}", '"client_secret": "{}"',
    'SECRET_KEY = "{}"', "access_token={}&x=1", "?api_key={}", 'encryptionKey = "{}"',
    "Authorization: Bearer {}", '-H "Authorization: Token {}"', "jwt.secret={}", "api key: {}",
    "--token {}", "//registry/:_authToken={}", "aws_secret_access_key = {}", "Cookie: sid={}",
)  # fmt: skip

PASSWORDS = (drawn(20), drawn(12) + "#1", "Tr0ub4dor&3", "BlueSky-42!", "S3cr3t!pw9")

AROUND_A_PASSWORD = (
    'password = "{}"', "password='{}'", "PASSWORD={}", "DB_PASSWORD={}", "db_password: {}",
    '"password": "{}"', "'passwd' => '{}',", "spring.datasource.password={}",
    "<password>{}</password>", "define('DB_PASSWORD', '{}');", "Password: {}", 'pwd := "{}"',
    'const dbPass = "{}";', 'setPassword("{}")', 'password: str = "{}"',
    "machine h login bob password {}", "Server=x;Uid=sa;Pwd={};Database=d",
    "ALTER USER bob PASSWORD '{}';", "IDENTIFIED BY '{}'", 'os.getenv("DB_PASSWORD", "{}")',
    "mysql --password={} -h x", "curl -u bob:{} https://x", '<add key="Password" value="{}" />',
    '\\"password\\": \\"{}\\"', '- name: DB_PASSWORD\n  value: "{}"', "Passwort: {}",
    "- name: DB_PASSWORD\n  value: {}", '#define WIFI_PASSWORD "{}"', "ENV ROOT_PASSWORD {}",
    "requirepass {}", "username bob password 0 {}", "sshpass -p {} ssh h", "mysql -u x -p{} db",
    'new NetworkCredential("bob", "{}")', "get(url, auth=('bob', '{}'))", "admin_pw: {}",
    'ConvertTo-SecureString "{}" -AsPlainText', "keytool -storepass {} -v", "dbpass={}",
    "пароль: {}", "密码：{}", 'psk="{}"', "ikev2 pre-shared-key {}",
)  # fmt: skip

AROUND_AN_ADDRESS = (
    "postgres://app:{}@db.internal:5432/x", "mysql://root:{}@localhost/x", "redis://:{}@r:6379/0",
    "mongodb+srv://u:{}@c.example.net/?w=1", "https://bob:{}@git.example.com/r.git",
)  # fmt: skip

IN_SENTENCES = (
    "The password is {}", "The password is {}.", "The password for the router is {}, ask Bob.",
    "Password for bob (on the staging host) is: {}", "the wifi password: {}",
    "- Password: {}\n- Next", "**Password:** {}", "Password:\n\n{}\n", "Password\n{}\nmore",
    "Set the password to `{}` first.", 'The password is "{}".', "The new passphrase was “{}”.",
    "Das Passwort lautet {}.", "Das Kennwort für das WLAN ist {}.", "Le mot de passe est {}.",
    "La contraseña es {}.", "A senha é {}.", "La parola d'ordine è {}.", "Het wachtwoord is {}.",
    "Lösenordet är {}.", "Adgangskoden er {}.", "Hasło to {}.", "Heslo je {}.", "Пароль: {}.",
    "Пароль — {}", "密码是{}。", "パスワードは{}です", "비밀번호는 {}", "Parola este: {}",
    "סיסמה: {}",
    "Login: bob / {}", "Login: bob/{}", "Log in with bob / {} and wait.", "Credentials: admin / {}",
    "Zugangsdaten: bob / {}", "Passwords: {} and {}",
    "Le mot de passe est « {} ».", "管理员密码为{}", "WLAN-Schlüssel: {}", "<b>Password:</b> {}",
)  # fmt: skip

IN_TABLES = (
    "| User | Password |\n|---|---|\n| bob | {} |\n", "| User | Password |\n|-|-|\n| b | `{}` |\n",
    "User | Password\nbob | {}\n", "| Password | {} |\n",
    "| Key | Value |\n|-|-|\n| password | {} |",
    "host\tpassword\tport\nh1\t{}\t22\n", "host,admin password,port\nh1,{},22\nh2,,22\n",
    'host;passwort\nh1;"{}"\n',
    "+------+----------+\n| User | Password |\n+======+==========+\n| b | {} |",
    "User | Initial password | Note\nann | {} | change\n",
    "| Nutzer | Kennwort |\n|-|-|\n| b | {} |\n",
)  # fmt: skip

SEED_WORDS = "ladder ocean winter puzzle garden violin rocket copper maple tunnel silver".split()


ON_COMMAND_LINES = (
    "mysqldump -h db -u bob -p'{}' shop > shop.sql",
    "docker login -u bob -p {} registry.example.org",
    'echo "to the registry"; helm registry login r.example.org -u bob -p "{}"',
    "az login --service-principal -u app -p {} --tenant t",
    "mongosh --host db -u bob -p {} shop",
    "redis-cli -h cache -a {} ping",
    "ldapsearch -x -D cn=admin -w {} -b dc=example",
    "unzip -P {} backup.zip",
    "7z x -p{} backup.7z",
    "smbclient //files/home -U bob%{}",
    "xfreerdp /u:bob /p:{} /v:desk",
    "ipmitool -H bmc -U ADMIN -P {} power on",
    "useradd -m -p {} bob",
    "openssl enc -aes-256-cbc -k {} -in notes",
    "htpasswd -bc users bob {}",
    "sqlplus bob/{}@shop",
    r"net use Z: \\files\home {} /user:bob",
    'echo "bob:{}" | sudo chpasswd',
)
"""Commands that take a password in an option of one letter, or at a place of its own."""
