"""Files and folders that hold secrets by their names: such files are never read.

Names are compared in lower case and without the endings of copies (`id_rsa.bak`, `.env~`). Some
names decide alone: those that a tool gives to nothing else (`id_rsa`, `.netrc`). Others are words
that files about secrets have, too (`secrets.json`, `passwords.txt`, `token`). They count unless the
rest of the name, its ending or its folder says that the file speaks of secrets: examples
(`.env.example`), documents and source code (`credentials.md`, `secrets.py`), translations
(`i18n/secrets.json`), lists of words (`common-passwords.txt`), schemas and test data. Those are
read, and what stands in them is masked.
"""

import os
import re
from functools import lru_cache
from pathlib import PurePath
from unicodedata import normalize

from allma_server.secrets.subjects import is_about_secrets

_COPY = re.compile(
    r"(?:~|\.(?:bak|backup|old|orig|save|saved|tmp|copy|disabled|swp|rej|prev|rpmsave|rpmnew|"
    r"dpkg-old|dpkg-dist|\d{1,8})|[ _-](?:copy|backup|bak|old)|\s?\(\d+\)|[_-]\d{4}-?\d\d-?\d\d)$"
)
_MARKED = re.compile(r"^copy of |(?: \(\d+\)|[ _-]{1,3}copy)(?=\.\w+$)")
_EXAMPLE = re.compile(
    r"(?:^|[._ -])(?:examples?|samples?|templates?|dist|tmpl|tpl|skeleton|schema|"
    r"defaults)(?=[._ -]|$)"
)
_ENDED = r"\.(?:json|jsonc|json5|ya?ml|ini|toml|properties|env|cfg|conf|config|xml|plist|enc|db)"
_QUALIFIER = (
    r"(?:prod|production|dev|develop|development|stag|stage|staging|test|testing|local|live|qa|uat|"
    r"ci|shared|common|default|private|my|all|app|global|user|root|team|company|work|home|personal|"
    r"wifi|wlan|router|mail|email|bank|export|saved|backup|aws|gcp|azure|google|github|gitlab|docker|db|database|k8s|kube|server|"
    r"api|new|\d+)"
)
_SECRETS = r"(?:secrets?|credentials?|creds?|passwords?|passwds?|passphrases?)"
_TOKENS = (
    r"(?:api|access|auth|secret|private|encryption|signing|root|service|sa|gcp|key)"
    r"[_-]?(?:keys?|tokens?)"
)

_ISSUERS = (
    r"(?:github|gitlab|slack|discord|telegram|npm|pypi|hf|refresh|oauth2?|bearer|bot|jwt|session|"
    r"login|user|personal|deploy)"
)
_PASSWORD_STORES = (
    r"(?:lastpass|bitwarden|1password|keepass\w*|dashlane|nordpass|chrome|firefox|edge|brave|"
    r"safari)"
)
_STORES = (
    r"(?:lastpass|bitwarden|1password|keepass\w*|dashlane|nordpass|enpass|roboform|proton_?pass)"
)
_SERVICES = r"(?:openai|anthropic|aws|gcp|azure|stripe|google|twilio|sendgrid|heroku|cloudflare)"
_IN_OTHER_LANGUAGES = (
    r"(?:passwörter|kennwörter|mots[ _-]de[ _-]passe|contraseñas|senhas|wachtwoorden|lösenord|"
    r"hasła|hesla|пароли|密码|密碼|パスワード|비밀번호)"
)

_KINDS = {
    "environment": r"\.env|\.env[._-].*|.*\.env|env\.(?:local|prod|production|staging)|\.envrc|"
    r"\.flaskenv|\.dev\.vars|.*\.tfvars(?:\.json)?",
    "private key": r"(?:.*[_.-])?(?:rsa|dsa|ecdsa|ed25519)(?:[_-]sk)?(?:\.txt|\.key)?|"
    r"id_(?:rsa|dsa|ecdsa|ed25519|xmss)(?:[_.-].*)?|(?:private|secret)(?:[_-]?key)?\.asc|"
    r"ssh_host_.*_key|priv(?:ate)?[_-]?key.*|secring\..*|"
    r".*\.(?:pem|key|p12|pfx|p8|pk8|pkcs12|jks|jceks|bks|keystore|truststore|keytab|ppk|gpg|"
    r"pgp|agekey|snk|ovpn|tblk|wallet|kdbx?|psafe3|keychain|keychain-db|agilekeychain|opvault|"
    r"1pif|1pux|kwl|enpassdb|publishsettings|cscfg|mobileprovision)|wg\d+\.conf|wg-\w+\.conf",
    "service account": r"(?:.*[_.-])?service[_-]?account.*\.json|"
    r".*firebase-adminsdk.*\.json|client[_-]?secrets?.*\.json|application_default_credentials\.json|"
    r"adc\.json|(?:.*[_-])?(?:sa|gcp|gcloud|google)[_-](?:key|creds?|auth|sa)\.json|key(?:file)?\.json",
    "credentials of a tool": r"[._]netrc|\.?pgpass(?:\.conf)?|\.(?:my|mylogin)\.cnf|\.npmrc|"
    r"\.yarnrc\.yml|\.pypirc|\.ht(?:passwd|digest)|\.git-?(?:credentials|cookies)|\.dockercfg|"
    r"(?:vnc|ht|master\.)passwd|(?:ipsec\.|chap-|pap-)secrets|wpa_supplicant.*\.conf|"
    r".*\.nmconnection|hostapd\.wpa_psk|ntds\.dit|.*\.rdg|(?:confcons|mremoteng)\.xml|"
    r"\.dockerconfigjson|.*\.token|"
    r"\.vault[_-](?:token|pass.*)|vault[_-]pass.*|vault\.ya?ml|\.?kubeconfig.*|.*\.kubeconfig|"
    r"\.s3cfg|\.boto|\.?rclone\.conf|\.?passwd-s3fs|\.?smbcredentials|\.msmtprc|\.fetchmailrc|"
    r"\.?offlineimaprc|\.terraformrc|terraform\.rc|.*\.tfrc\.json|.*\.tf(?:state|plan)(?:\..*)?|"
    r"\.?databrickscfg|\.?ngrok\.ya?ml|sitemanager\.xml|recentservers\.xml|filezilla\.xml|"
    r"winscp\.ini|\.ftpconfig|s?ftp-config\.json|sftp\.json|master\.key|.*\.yml\.enc|"
    r"\.?kaggle\.json|\.authinfo|\.esmtprc|\.rhosts|\.renviron|\.proftpdpasswd|local\.settings\.json|"
    r"(?:keystore|key|signing)\.properties|settings-security\.xml|passwd|shadow-?|gshadow-?|"
    r"\.?(?:api|auth|access)[_-]?(?:key|token)s?|\.tokens?|\.secrets?",
    "credentials": rf"\.?{_SECRETS}|\.?(?:.+[._ -])?{_SECRETS}{_ENDED}|"
    rf"\.?{_SECRETS}(?:[._ -]{_QUALIFIER})+(?:{_ENDED})?|"
    rf"(?:{_QUALIFIER}[._ -])*(?:secrets|credentials|creds|passwords?|passwds)"
    r"\.(?:txt|csv|tsv|xlsx?)|"
    rf"(?:.*[_-])?{_TOKENS}\.(?:json|ya?ml|txt|csv|ini|toml|env)|"
    rf"(?:{_ISSUERS}|{_SERVICES})[_-](?:api[_-])?(?:keys?|tokens?)(?:\.(?:txt|csv))?|"
    rf"{_IN_OTHER_LANGUAGES}\.(?:txt|csv|tsv|xlsx?)|"
    rf"(?:{_ISSUERS}[_-])?token(?:\.(?:json|txt))?|(?:pwds?|pass|passwort|passwörter)\.txt|\.pass|"
    r"(?:[\w-]{1,40}[_-])?(?:password|passphrase|secret[_-]?key(?:[_-]base)?)|rootpw|\.secret_key|"
    r"(?:.*[_-])?(?:access|root)keys?\.csv",
    "history of a shell": r"\.[\w.-]*(?:_?history|histfile|hsts)|\.lesshst|\.viminfo|\.histdb|"
    r"consolehost_history\.txt|(?:fish|zsh|bash)_history",
    "a browser's or wallet's store": rf"{_STORES}(?:[ _-].*)?\.(?:csv|json|xml)|"
    r"(?:aegis|andotp|2fas|authy|raivo)[ _-].*(?:backup|export).*|"
    r"(?:t?otp|2fa|mfa)(?:[_-](?:secret|seed|key|uri|backup)s?)?\.(?:txt|json|csv)|"
    rf"{_PASSWORD_STORES}[ _-].*(?:export|passwords?|vault|"
    r"logins?).*\.(?:csv|json|txt|xml)|logins\.csv|login data(?: for account)?|"
    r"logins\.json|key[34]\.db|"
    r"cookies(?:\.sqlite|\.txt|\.json)?|signons\.sqlite|web data|wallet\.(?:dat|json)|utc--.*|"
    r"(?:.*[_ -])?(?:recovery|backup)[_ -]?codes?.*\.txt|(?:seed|mnemonic)(?:[_ -]phrase)?\.txt|"
    r".*\.har",
}  # fmt: skip
_SECRET = re.compile("|".join(_KINDS.values()))
_WORDS = re.compile("|".join(_KINDS[kind] for kind in ("credentials", "service account")))
_PUBLIC = re.compile(r".*\.pub|(?:.*[._-])?pub(?:lic)?(?:[._-]?key)?\.(?:pem|asc|gpg|key|pgp)")
_ALWAYS = re.compile(_KINDS["private key"])
_SUFFIXES = (
    ".md .markdown .rst .adoc .html .htm .pdf .docx .ipynb .tex .org "
    ".py .pyi .js .mjs .cjs .jsx .ts .tsx .go .rs .java .kt .scala .c .h .cc .cpp .hpp .cs .rb "
    ".php .swift .m .lua .pl .r .sql .sh .bash .zsh .ps1 .tf .vue .svelte "
    ".css .scss .ex .exs .clj .hs .dart .groovy .gradle .vb .fs .fsx .jl .nim .zig .sol .proto "
    ".graphql .feature .po .pot .strings .resx .xlf .xliff .arb .ftl .svg .odt .pptx .odp .epub "
    ".textile .wiki .mediawiki .asciidoc .mdx .rmd .qmd .snap .http .erl .elm .cljs .mts .cts .hh "
    ".cxx .hxx .mm .asm .s .bat .cmd .fish .awk .tcl .vim .el .lisp .scm .rkt .ml .mli .d .pas .vhd"
).split()
_DOCUMENT = tuple(_SUFFIXES)

FOLDERS = frozenset(
    ".ssh .gnupg .aws .azure .gcloud .kube .minikube .docker .oci .aliyun .bluemix .ibmcloud "
    ".password-store .pki .vault .terraform.d .step .acme.sh .cloudflared .databricks .snowflake "
    ".keychain .keychains .mozilla .thunderbird .electrum "
    ".bitcoin .ethereum .monero .exodus .1password .bitwarden .secrets".split()
)
"""Names of folders that hold nothing but credentials, keys or browsers' profiles."""

FOLDERS_IN = {
    ".config": frozenset(
        "gh hub glab-cli op gcloud rclone doctl containers google-chrome chromium microsoft-edge "
        "vivaldi opera bravesoftware 1password bitwarden keepassxc filezilla sops age "
        "github-copilot flyctl hcloud stripe heroku".split()
    ),
    "letsencrypt": frozenset("live archive keys accounts".split()),
    "google": frozenset({"chrome"}),
    "application support": frozenset("firefox bravesoftware chromium 1password bitwarden".split()),
    ".subversion": frozenset({"auth"}),
    "library": frozenset({"keychains"}),
    "share": frozenset("keyrings kwalletd".split()),
}
"""The same for folders whose names say so only inside another."""


def is_secret_file(path: str | PurePath) -> bool:
    """Whether the names alone say that a file holds credentials."""
    folder, name = os.path.split(path)
    if is_in_secret_folder(folder):
        return True
    name = _without_copies(normalize("NFC", name).strip().lower())
    if name.endswith(_DOCUMENT) or _PUBLIC.fullmatch(name):
        return False
    if _ALWAYS.fullmatch(name):
        return True
    if _EXAMPLE.search(name) or _SECRET.fullmatch(name) is None:
        return False
    return _WORDS.fullmatch(name) is None or not is_about_secrets(PurePath(folder), name)


# A scan asks for each file of a folder.
@lru_cache(maxsize=1024)
def is_in_secret_folder(folder: str | PurePath) -> bool:
    """Whether a folder, or one around it, holds nothing but credentials."""
    parts = [part.lower() for part in PurePath(folder).parts]
    return any(part in FOLDERS for part in parts) or any(
        inner in FOLDERS_IN.get(outer, ()) for outer, inner in zip(parts, parts[1:], strict=False)
    )


def _without_copies(name: str) -> str:
    name = _MARKED.sub("", name)
    while (shorter := _COPY.sub("", name)) and shorter != name:
        name = shorter
    return name
