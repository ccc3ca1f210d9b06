"""Files and folders that are secrets by their names, and their likes that are none."""

from pathlib import Path, PurePath
from unicodedata import normalize

import pytest

from allma_server.errors import FolderNotAllowed
from allma_server.indexing.scope import approve, walk
from allma_server.secrets import is_secret_file

SECRET = [*"""
.env .env.local .env~ .env.bak .ENV prod.env .envrc .env.production.local env.local .dev.vars
prod.tfvars prod.auto.tfvars terraform.tfvars.json terraform.tfstate terraform.tfstate.backup
id_rsa id_rsa.bak id_rsa.old ID_RSA id_ed25519 id_ecdsa_sk deploy_rsa ssh_host_rsa_key
server.pem server.key cert.p12 a.pfx b.jks c.keystore d.kdbx e.ppk f.p8 g.keytab h.ovpn wg0.conf
private_key.pem privkey.pem private-key.txt secring.gpg passwords.kdbx.1
service_account.json service-account.json serviceAccountKey.json my-service-account-prod.json
acme-firebase-adminsdk-x1.json client_secret_123.apps.json application_default_credentials.json
gcp-key.json .netrc _netrc .pgpass pgpass.conf .my.cnf .mylogin.cnf .npmrc .pypirc .htpasswd
.git-credentials .dockercfg .vault-token .vault_pass.txt kubeconfig prod.kubeconfig .s3cfg .boto
rclone.conf .smbcredentials credentials.tfrc.json .terraformrc filezilla.xml WinSCP.ini
secrets.ini secrets.yaml secret.yaml prod-secrets.yaml secrets.prod.yaml secrets-production.yml
db_credentials.json credentials credentials.xml credentials.csv passwords.txt my_passwords.txt
creds.json api_key.txt api_keys.json token.json access_token.txt accessKeys.csv rootkey.csv
credentials-2024-01-02.json secrets_backup.json credentials.yml.enc master.key vault.yml shadow
.bash_history .zsh_history .python_history .psql_history .node_repl_history fish_history .viminfo
logins.json key4.db cookies.sqlite cookies.txt wallet.dat recovery-codes.txt session.har
h/.docker/config.json h/.azure/x.json h/.config/gh/hosts.yml h/.kube/config h/.gcloud/a.json
h/.aws/credentials h/.mozilla/firefox/p/prefs.js h/Library/Keychains/x.txt h/.AWS/config
kaggle.json .authinfo local.settings.json .Renviron logins.csv wifi-passwords.txt rootpw
db_root_password secret_key_base .secret_key github_token.txt refresh_token.json token pwd.txt
bitwarden_export_2024.json lastpass_export.csv chrome_passwords.csv passwort.txt
id_rsa_work secret-key.asc wg-home.conf vncpasswd htpasswd chap-secrets ipsec.secrets
wpa_supplicant.conf home.nmconnection confCons.xml .dockerconfigjson github.token gcp-sa.json
openai_key.txt openai-api-key aws_keys.csv пароли.txt contraseñas.txt mots_de_passe.txt 密码.txt
bitwarden.json lastpass.csv keepass.xml dashlane-credentials.csv aegis-backup.json otp_secrets.txt
h/.config/Google-Chrome/Default/notes.txt h/.password-store/a/b.txt h/.local/share/keyrings/x.txt
""".split(), "Login Data", "id_rsa copy", "passwords (1).txt", "Copy of secrets.yaml",
    ".env ", normalize("NFD", "passwörter.txt")]  # fmt: skip

PLAIN = """
.env.example .env.sample .env.template prod.env.dist sample.env .envrc.example
secrets.example.yaml terraform.tfvars.example credentials.json.template
id_rsa.pub public.pem public_key.pem known_hosts authorized_keys
credentials.md secrets.md passwords.md password-policy.md password_reset.html api_keys.md
secret_manager_design.docx secrets.py secret.ts test_secrets.py credentials.go passwd.c
password_validator.rb tokens.css tokenizer.py token.go env.py environment.py environment.yml
version_history.txt HISTORY.md history.txt secret-garden.txt keyboard.json monkey.json keymap.json
special_token.json max_tokens.txt token_counts.csv edge-cases.csv chrome_notes.txt passes.txt
turkey.json passport.txt compass.yaml auth.json secretary.json settings.py config.json
docker-compose.yml main.tf variables.tf package.json chapter.asc keyrings/backend.py
i18n/secrets.json locales/passwords.yml locale/de/credentials.json src/lang/en/passwords.properties
translations/secrets.xml de.lproj/credentials.xml secrets.de.json en.passwords.yml
en-US/secrets.json passwords_i18n.json password-messages.properties common-passwords.txt
top-1000-passwords.txt
10k-most-common-passwords.txt weak_passwords.csv banned-passwords.txt leaked-passwords.txt
wordlists/passwords.txt SecLists/Passwords/passwords.txt dictionaries/passwords.csv keys.json
schemas/secrets.json secrets.schema.json openapi/credentials.yaml secrets-policy.yaml
docs/secrets.yaml examples/credentials.json tests/fixtures/secrets.json fixtures/token.json
__tests__/credentials.json charts/templates/secrets.yaml templates/secret.yaml
credentials.ts secrets.dart passwords.po secrets.resx secret.proto passwords.feature Secrets.java
service-account-types.json service_account_policy.json client_secret_rotation.json
messages/token.json values/passwords.xml values-de/passwords.xml tokens.json tokenizer_config.json
aws.md keymap.md special_tokens_map.json otp.md recovery.md keepass.md wg.py google_key_concepts.md
""".split()

STILL_SECRET = """
documents/passwords.txt docs/passwords.txt tests/.env tests/fixtures/id_rsa i18n/.npmrc
src/secrets.json config/credentials.yml my-passwords.txt tests/passwords.csv locales/server.key
test/app/secrets.yaml company-secrets.json home/bob/token.json docs/.netrc wordlists/.env
""".split()


@pytest.mark.parametrize("name", SECRET)
def test_a_name_of_this_kind_is_a_secret_s(name: str) -> None:
    assert is_secret_file(PurePath(name))


@pytest.mark.parametrize("name", STILL_SECRET)
def test_a_folder_of_examples_or_words_does_not_excuse_a_tool_s_file(name: str) -> None:
    assert is_secret_file(PurePath(name))


@pytest.mark.parametrize("name", PLAIN)
def test_documents_source_code_and_examples_are_not(name: str) -> None:
    assert not is_secret_file(PurePath(name))


def test_a_file_with_a_secret_s_name_is_listed_but_never_read(tmp_path: Path) -> None:
    for name in ("prod.env", "id_rsa.bak", ".config/gh/hosts.yml", "notes.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("words\n")
    seen = walk(tmp_path, tmp_path / "data", 1000)
    reasons = {Path(s.file.path).name: s.reason for s in seen}
    assert reasons.pop("notes.md") is None
    assert len(reasons) == 3 and all("secret" in (why or "") for why in reasons.values())


@pytest.mark.parametrize("folder", [".docker", ".azure", ".config/gh", ".gcloud/x", ".mozilla"])
def test_a_folder_of_secrets_is_not_approved(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(FolderNotAllowed, match="secrets"):
        approve(str(tmp_path / folder), tmp_path / "data")
