"""Passwords in the configuration of network devices and of tools, in addresses and wrappers."""

import pytest

from allma_server.secrets import mask
from tests.unit.secrets.samples import HEX, drawn

LINES = """
enable secret 5 $1${hash}
enable secret 9 $9${hash}
enable password {word}
enable password 7 {hex}
username admin password 7 {hex}
username ops privilege 15 secret 0 {word}
username joe secret 8 $8${hash}
snmp-server community {word} RO
snmp-server community {plain} RW 10
snmp-server host 10.0.0.5 version 2c {plain}
snmp-server user bob grp v3 auth sha {word} priv aes 128 x
snmp-server user bob grp v3 auth sha x priv aes 128 {word}
tacacs-server key 7 {hex}
radius-server host 10.1.1.1 key {word}
 neighbor 10.2.2.2 password {word}
crypto isakmp key {word} address 203.0.113.9
 pre-shared-key address 1.2.3.4 key {word}
 ikev1 pre-shared-key {word}
 ip ospf message-digest-key 1 md5 {word}
ntp authentication-key 1 md5 {word} 7
 ip ftp password 7 {hex}
 key-string {word}
 ppp chap password 0 {word}
 wpa-psk ascii 0 {word}
line vty 0 4⏎ password {word}⏎ login
set snmp community {word} authorization read-only
set system login user bob authentication plain-text-password-value "{word}"
set security ike policy p pre-shared-key ascii-text "$9${hash}"
set protocols bgp group x authentication-key "$9${hash}"
        set passwd ENC {base64}
rocommunity {word}
requirepass {word}
masterauth {word}
rootpw    {SSHA}{base64}
createUser bob SHA "{word}" AES x
spring.datasource.password=ENC({base64})
"password": "ENC({base64})"
<password>ENC({base64})</password>
password: "{cipher}{base64}"
password={aes}{base64}
<password>{{base64}=}</password>
jdbc:oracle:thin:scott/{word}@dbhost:1521:ORCL
jdbc:oracle:oci:app/{plain}@PROD
sqlldr userid=app/{word}@PROD control=x.ctl
impdp scott/{word}@ORCL directory=dp
connect app/{word}@PROD
db.example.com:5432:app:bob:{word}
sentry_dsn: https://{token}@o1.ingest.example.io/1
WIFI:T:WPA;S:HomeNet;P:{plain};;
net user bob {word} /add
psexec srv -u bob -p {word} cmd
schtasks /create /tn x /ru bob /rp {word}
echo '{word}' | sudo -S apt update
echo {word} | docker login -u bob --password-stdin
variable "db_password" {⏎  default = "{word}"⏎}
<td><b>Password:</b></td><td>{word}</td>
<key>Password</key>⏎<string>{word}</string>
password.1={word}
db.password = \\⏎  {word}
smtp_pass = {word}
let password = String::from("{word}");
CREATE LOGIN bob WITH PASSWORD = N'{word}';
DriverManager.getConnection("jdbc:x", "bob", "{word}");
user: bob, pass: {word}
Login for the printer: admin / {word}
Wi-Fi: HomeNet / {word}
PW: {word}
$ANSIBLE_VAULT;1.1;AES256⏎{long}
""".strip().split("\n")

VALUES = {
    "word": "Nordlicht7x",
    "plain": "lamplighter",
    "hex": drawn(12, HEX).upper(),
    "hash": f"{drawn(4)}${drawn(22)}",
    "base64": drawn(31) + "4",
    "token": drawn(32, HEX),
    "long": drawn(80, HEX),
}


@pytest.mark.parametrize("line", LINES)
def test_a_secret_in_a_line_of_settings_is_masked(line: str) -> None:
    text = line.replace("⏎", "\n")
    for name, value in VALUES.items():
        text = text.replace(f"{{{name}}}", value)
    masked = mask(text).text
    assert "[secret: " in masked
    assert not any(value in masked for value in VALUES.values()), masked


PLAIN = """
Use `enable secret` instead of `enable password`, since type 7 is weak.
enable password authentication
enable secret rotation in the settings
username and password required
username bob password policy
When it uses username and password authentication, this will clear the credentials
snmp-server community string RO
snmp-server community command sets the community access string.
our community grew to 300 members RW
neighbor search password list
tacacs-server host 10.0.0.1
set password prompt
set secret manager as default
key-string text
1 md5 d41d8cd98f00b204e9800998ecf8427e file
requirepass foobared
masterauth <master-password>
rocommunity public
password: ENC(value)
ENC(utf8) and {cipher} are markers
jdbc:oracle:thin:@//host:1521/service
jdbc:oracle:thin:user/password@host:1521:sid
npm install @types/node@18 lodash/fp@4
exp(x)/log(y)@z
net user bob * /add
echo "text" | sudo tee /etc/x
ssh://deployment-user-for-staging@example.com
<td>Password</td><td>required</td>
{"name": "password", "value": "string"}
password = Base64Encoder
getConnection(url, "user", "password")
line con 0⏎ exec-timeout 5 0
pw: str, user: str
""".strip().split("\n")


@pytest.mark.parametrize("line", PLAIN)
def test_commands_and_words_about_them_are_left_alone(line: str) -> None:
    text = line.replace("⏎", "\n")
    assert mask(text).text == text
