"""Secrets that are known by their form, whatever stands around them.

The forms are those that the providers document. Each pattern starts at one of its `marks`, which
are looked for in the long words of a text alone; every repetition is bounded.
"""

import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from allma_server.secrets.spans import Span


@dataclass(frozen=True, slots=True)
class Form:
    """What a kind of secret looks like; the group `secret`, if there is one, is what is hidden."""

    kind: str
    marks: tuple[str, ...]
    source: str
    begins_with_mark: bool = True

    @property
    def pattern(self) -> re.Pattern[str]:
        """Its pattern, compiled when a text has one of its marks: most never occur."""
        return _compiled(self.source)

    def found_in(self, text: str, mark: str) -> Iterator[re.Match[str]]:
        """All that look like it and begin with one of its marks, in order."""
        if not self.begins_with_mark:
            yield from self.pattern.finditer(text)
            return
        at = text.find(mark)
        while at >= 0:
            match = self.pattern.match(text, at)
            if match:
                yield match
            at = text.find(mark, match.end() if match else at + len(mark))


@cache
def _compiled(source: str) -> re.Pattern[str]:
    return re.compile(source)


def _form(kind: str, marks: str, pattern: str, *, begins_with_mark: bool = True) -> Form:
    # A token is not the middle of a longer word, and is taken to its end.
    # Where line ends are escaped, their letter stands before it.
    whole = rf"(?:(?<![A-Za-z0-9])|(?<=\\[nrt])){pattern}(?![A-Za-z0-9])"
    return Form(kind, tuple(marks.split()), whole, begins_with_mark)


FORMS = (
    # clouds
    _form("aws access key", "AKIA ASIA ABIA ACCA", r"A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}"),
    _form("aws api key", "ABSK", r"ABSK[A-Za-z0-9+/]{60,300}={0,2}"),
    _form("google api key", "AIza", r"AIza[\w-]{35}"),
    _form("google oauth secret", "GOCSPX-", r"GOCSPX-[\w-]{20,40}"),
    _form("google access token", "ya29. 1//0", r"(?:ya29\.|1//0)[\w-]{30,2000}"),
    _form("azure client secret", "Q~", r"[\w~.-]{3}\dQ~[\w~.-]{31,34}", begins_with_mark=False),
    _form("azure key", "AccountKey= SharedAccessKey= accountkey=",
          r"(?:(?i:AccountKey|SharedAccessKey))=(?P<secret>[A-Za-z0-9+/]{40,100}={0,2})"),
    _form("signed url", "sig= Signature= X-Amz-Signature=",
          r"(?:sig|Signature|X-Amz-Signature)=(?P<secret>[\w%+/-]{40,200}={0,2})"),
    _form("alibaba access key", "LTAI", r"LTAI[A-Za-z0-9]{12,24}"),
    _form("tencent secret id", "AKID", r"AKID[A-Za-z0-9]{32}"),
    _form("digitalocean token", "dop_v1_ doo_v1_ dor_v1_", r"do[opr]_v1_[0-9a-f]{64}"),
    _form("cloudflare key", "v1.0- cfut_ cfat_",
          r"(?:v1\.0-[0-9a-f]{24}-[0-9a-f]{146}|cf[ua]t_[\w-]{40,80})"),
    _form("heroku key", "HRKU-", r"HRKU-[\w-]{36,80}"),
    _form("fly token", "fm1_ fm1r_ fm1a_ fm2_ fo1_", r"(?:fm[12][ar]?_|fo1_)[\w+/=,-]{40,2000}"),
    _form("yandex key", "AQVN t1.",
          r"(?:AQVN[\w-]{35,40}|t1\.[A-Z0-9a-z_-]{20,}[.][\w-]{80,90}=?=?)"),
    # code and packages
    _form("github token", "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_",
          r"(?:gh[opsur]_[A-Za-z0-9_]{36,255}|github_pat_\w{22,255})"),
    _form("gitlab token", "glpat- gldt- glrt- glptt- glft- gloas- glsoat- glagent- "
          "glimt- glcbt- glrtr- GR1348941",
          r"(?:gl(?:pat|dt|rt|ptt|ft|oas|soat|agent|imt|cbt|rtr)-|GR1348941)[\w.-]{20,300}"),
    _form("atlassian token", "ATATT3 ATCTT3 ATBB", r"(?:ATATT3|ATCTT3|ATBB)[\w=-]{24,400}"),
    _form("npm token", "npm_", r"npm_[A-Za-z0-9]{36}"),
    _form("pypi token", "pypi-", r"pypi-A[\w-]{50,1000}"),
    _form("rubygems key", "rubygems_", r"rubygems_[0-9a-f]{48}"),
    _form("crates.io token", "cio", r"cio[A-Za-z0-9]{32}"),
    _form("nuget key", "oy2", r"oy2[a-z0-9]{43}"),
    _form("clojars token", "CLOJARS_", r"CLOJARS_[a-z0-9]{60}"),
    _form("docker token", "dckr_", r"dckr_[po]at_[\w-]{20,40}"),
    _form("artifactory token", "AKCp cmVmdGtu",
          r"(?:AKCp[A-Za-z0-9]{60,90}|cmVmdGtu[A-Za-z0-9]{50,60})"),
    _form("ci token", "CCIPAT_ CCIPRJ_ bkua_", r"(?:CCIP(?:AT|RJ)_\w{20,80}|bkua_[0-9a-f]{40})"),
    _form("sonar token", "sqp_ squ_ sqa_", r"sq[pua]_[0-9a-f]{40}"),
    _form("postman key", "PMAK-", r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}"),
    # models
    _form("model provider's key", "sk-",
          r"sk-(?=[\w-]{0,40}\d)(?=[\w-]{0,60}[A-Za-z0-9]{16})[\w-]{20,300}"),
    _form("hugging face token", "hf_ api_org_", r"(?:hf_|api_org_)[A-Za-z0-9]{30,40}"),
    _form("model provider's key", "gsk_ xai- r8_ pplx- nvapi- tvly- pcsk_ lsv2_",
          r"(?:gsk_[A-Za-z0-9]{40,60}|xai-[A-Za-z0-9]{60,100}|r8_[A-Za-z0-9]{37}|"
          r"pplx-[A-Za-z0-9]{40,60}|nvapi-[\w-]{60,80}|tvly-[\w-]{20,60}|pcsk_\w{40,90}|"
          r"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10})"),
    # messages
    _form("slack token", "xox xapp-",
          r"(?:xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,300}|xapp-\d-[A-Za-z0-9-]{20,200})"),
    _form("slack webhook", "hooks.slack.com",
          r"hooks\.slack\.com/(?P<secret>(?:services|workflows|triggers)/[\w/-]{30,120})"),
    _form("discord webhook", "discord.com/api/webhooks/ discordapp.com/api/webhooks/",
          r"discord(?:app)?\.com/api/webhooks/(?P<secret>\d{15,22}/[\w-]{50,90})"),
    _form("teams webhook", "webhook.office.com",
          r"webhook\.office\.com/webhookb2/(?P<secret>[\w@/-]{80,200})"),
    _form("telegram token", ":AA", r"(?:bot)?(?P<secret>\d{8,12}:AA[\w-]{32,34})",
          begins_with_mark=False),
    Form("discord token", ("",), begins_with_mark=False, source=(
        r"[MNO](?:(?<![\w-][MNO])|(?<=\\[nrt][MNO]))[\w-]{23,27}\.[\w-]{6}\.[\w-]{27,40}(?![\w-])")),
    _form("sendgrid key", "SG.", r"SG\.[\w-]{16,32}\.[\w-]{16,64}"),
    _form("mailgun key", "key-", r"key-[0-9a-f]{32}"),
    _form("mailchimp key", "-us1 -us2 -us3 -us4 -us5 -us6 -us7 -us8 -us9",
          r"[0-9a-f]{32}-us\d{1,2}", begins_with_mark=False),
    _form("brevo key", "xkeysib-", r"xkeysib-[0-9a-f]{64}-[A-Za-z0-9]{16}"),
    _form("twilio key", "SK", r"SK[0-9a-f]{32}"),
    # money and shops
    _form("stripe key", "sk_live_ rk_live_ sk_test_ rk_test_ sk_prod_ rk_prod_ whsec_",
          r"(?:[sr]k_(?:live|test|prod)_[A-Za-z0-9]{10,200}|whsec_[A-Za-z0-9+/=]{24,80})"),
    _form("square token", "sq0 EAAA", r"(?:sq0[a-z]{3}-[\w-]{22,43}|EAAA[\w-]{60})"),
    _form("shopify token", "shpat_ shpca_ shppa_ shpss_", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    _form("payment key", "EZAK EZTK rzp_live_ duffel_ FLWSECK access_token$",
          r"(?:EZ[AT]K[A-Za-z0-9]{54}|rzp_live_[A-Za-z0-9]{14,30}|duffel_(?:live|test)_[\w=-]{40,50}|"
          r"FLWSECK(?:_TEST)?-[0-9a-zA-Z]{12,40}-X|access_token\$production\$[0-9a-z]{16}\$[0-9a-f]{32})"),
    # other services
    _form("linear key", "lin_api_ lin_oauth_", r"lin_(?:api|oauth)_[A-Za-z0-9]{32,64}"),
    _form("notion token", "ntn_ secret_", r"(?:ntn_[A-Za-z0-9]{40,60}|secret_[A-Za-z0-9]{43})"),
    _form("figma token", "figd_", r"figd_[\w-]{38,50}"),
    _form("airtable token", "pat", r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}"),
    _form("dropbox token", "sl.", r"sl\.[\w-]{100,2000}"),
    _form("facebook token", "EAA", r"EAA[A-Z][A-Za-z0-9]{80,400}"),
    _form("twitter token", "AAAAAAAAAAAAAAAAAA", r"A{18,24}[A-Za-z0-9%]{70,120}"),
    _form("mapbox token", "sk.eyJ", r"sk\.eyJ[\w-]{20,400}\.[\w-]{20,60}"),
    _form("new relic key", "NRAK- NRJS- NRII-", r"NR(?:AK|JS|II|BR|RA|SP)-[\w-]{19,64}"),
    _form("grafana token", "glc_ glsa_ eyJrIjoi",
          r"(?:glc_[A-Za-z0-9+/]{32,400}={0,2}|glsa_[A-Za-z0-9]{32}_[0-9a-fA-F]{8}|eyJrIjoi[A-Za-z0-9]{60,400}={0,2})"),
    _form("sentry token", "sntrys_ sntryu_", r"(?:sntrys_[\w+/=-]{60,500}|sntryu_[0-9a-f]{64})"),
    _form("datadog or databricks token", "dapi ddapi", r"d(?:d?api)[0-9a-f]{32}(?:-\d)?"),
    _form("vault token", "hvs. hvb. hvr.", r"hv[sbr]\.[\w-]{20,300}"),
    _form("terraform token", ".atlasv1.", r"[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{60,80}",
          begins_with_mark=False),
    _form("doppler token", "dp.",
          r"dp\.(?:pt|st|ct|sa|scim|audit)\.(?:[\w-]{2,35}\.)?[A-Za-z0-9]{40,44}"),
    _form("pulumi token", "pul-", r"pul-[0-9a-f]{40}"),
    _form("planetscale token", "pscale_", r"pscale_(?:tkn|pw|oauth)_[\w.=-]{32,64}"),
    _form("supabase key", "sbp_ sb_secret_", r"(?:sbp_[0-9a-f]{40}|sb_secret_[\w-]{20,60})"),
    _form("netlify token", "nfp_", r"nfp_[A-Za-z0-9]{36,60}"),
    _form("prefect or readme key", "pnu_ rdme_", r"(?:pnu_[A-Za-z0-9]{36}|rdme_[a-z0-9]{70})"),
    _form("tailscale key", "tskey-", r"tskey-[a-z]{2,12}-[\w-]{10,80}"),
    _form("openshift token", "sha256~", r"sha256~[\w-]{43}"),
    _form("age key", "AGE-SECRET-KEY-", r"AGE-SECRET-KEY-1[A-Z0-9]{50,60}"),
    _form("1password token", "ops_eyJ", r"ops_eyJ[A-Za-z0-9+/]{100,1500}={0,3}"),
    _form("adafruit key", "aio_", r"aio_[A-Za-z0-9]{28}"),
    _form("mongodb key", "mdb_sa_sk_", r"mdb_sa_sk_[\w-]{30,60}"),
    # without a provider
    _form("seed of one-time passwords", "otpauth://",
          r"otpauth://[^\s\"'<>]{1,400}?[?&]secret=(?P<secret>[A-Z2-7a-z]{16,128}=*)"),
    _form("seed of one-time passwords", "otpauth-migration://",
          r"otpauth-migration://[^\s\"'<>]{1,60}?data=(?P<secret>[\w%+/-]{20,4000}=*)"),
    _form("wallet key", "xprv yprv zprv tprv", r"[xyzt]prv[1-9A-HJ-NP-Za-km-z]{107}"),
    _form("json web token", "eyJ", r"eyJ[\w-]{10,2000}\.eyJ[\w-]{10,6000}(?:\.[\w-]{0,2000})?"),
    _form("password hash", "$apr1$ $1$ $5$ $6$ $8$ $9$ $y$ $2a$ $2b$ $2y$ $argon2i",
          r"\$(?:apr1|[15689y]|2[aby]|argon2id?)\$[\w./,=$+-]{20,200}"),
    _form("private key", "LS0tLS1CRUdJTi",
          r"LS0tLS1CRUdJTi(?!BDRVJUSUZJ|BQVUJMSUMg)[A-Za-z0-9+/]{60,20000}={0,2}"),
)  # fmt: skip

_BY_MARK = [(mark, form) for form in FORMS for mark in form.marks]
_SHORTEST = 15
_IN_FORMS = frozenset(string.ascii_letters + string.digits + "_-+/=.~%$:@,?&\\")
_AS_MARKS = bytes(ord("a" if chr(code) in _IN_FORMS else " ") for code in range(256))
# Of tokens with fewer of them, there is one in a thousand.
_FEWEST_DRAWN = 3
_DRAWN = frozenset(string.ascii_uppercase + string.digits)
_AS_DRAWN = bytes(ord("A" if chr(code) in _DRAWN else " ") for code in range(256))
_LONG_WORD = re.compile(b"a" * _SHORTEST + b"a*")


def of_known_form(text: str) -> Iterator[Span]:
    """All that have the form of a provider's secret."""
    words = _long_words(text)
    if not words:
        return
    for mark, form in _BY_MARK:
        if mark not in words or not (form.begins_with_mark or form.pattern.search(words)):
            continue
        group = "secret" if "secret" in form.pattern.groupindex else 0
        for match in form.found_in(text, mark):
            if "EXAMPLE" not in match[group]:
                yield Span(*match.span(group), form.kind)


def _long_words(text: str) -> str:
    """The words that are long enough for a secret, one a line: a tenth of a usual text."""
    plain = text.encode("ascii", "replace")
    drawn = plain.translate(_AS_DRAWN)
    words = (word.span() for word in _LONG_WORD.finditer(plain.translate(_AS_MARKS)))
    return "\n".join(
        text[start:end] for start, end in words if drawn.count(b"A", start, end) >= _FEWEST_DRAWN
    )
