"""How an organisation has its requests signed: two scripts, for authorities of OpenSSL and for a Fabric CA.

The first also makes the authorities, where there are none: one below the root for members, since Fabric takes none from
a root that has others below it, as a hospital's has one that enrols patients. There are other ways: what counts is that
the certificates are as the requests say, which `healthchain fabric install` checks.
Sources: openssl-x509(1); Fabric-CA's REST interface, POST /api/v1/enroll.
"""

from __future__ import annotations

from collections.abc import Sequence

from healthchain.identity.requests import AUTHORITY, Request

DAYS = 365
_OPENSSL = """\
#!/bin/sh
# Sign the requests with authorities of OpenSSL (3.0 or later), where their keys are, which is not where the nodes are.
# Usage: openssl.sh REQUESTS AUTHORITIES CERTIFICATES
# REQUESTS has the *.csr.pem. AUTHORITIES has the authorities, which are made if there are none: root.key signs the
# authorities below it and is needed no more then, members.key signs members, tls-root.key servers. What is in
# CERTIFICATES afterwards goes back to the nodes; nothing else does. Run it again to renew.
set -eu
requests=$1 authorities=$2 certificates=$3
umask 077
mkdir -p "$authorities" "$certificates"
subject="subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid"
authority="$subject
basicConstraints=critical,CA:TRUE,pathlen:0
keyUsage=critical,digitalSignature,keyCertSign,cRLSign"
make_key() {{
    [ -e "$authorities/$1.key" ] || openssl ecparam -genkey -name prime256v1 -noout -out "$authorities/$1.key"
}}
make_root() {{
    make_key "$1"
    [ -e "$authorities/$1.pem" ] || openssl req -x509 -new -key "$authorities/$1.key" -sha256 -days 7300 \\
        -subj "/CN=$1.{domain}" -addext "keyUsage=critical,digitalSignature,keyCertSign,cRLSign" \\
        -out "$authorities/$1.pem"
}}
sign() {{ # ISSUER REQUEST CERTIFICATE DAYS EXTENSIONS
    printf '%s\\n' "$5" > "$authorities/extensions.cnf"
    openssl x509 -req -in "$2" -CA "$authorities/$1.pem" -CAkey "$authorities/$1.key" -CAcreateserial -sha256 \\
        -days "$4" -copy_extensions copyall -extfile "$authorities/extensions.cnf" -out "$3"
}}
sign_authority() {{ # NAME REQUEST: once, for what it has issued depends on it
    [ -e "$authorities/$1.pem" ] || sign root "$2" "$authorities/$1.pem" 3650 "$authority"
}}
make_root root
make_root tls-root
make_key members
openssl req -new -key "$authorities/members.key" -subj "/CN=members.{domain}" -out "$authorities/members.csr.pem"
sign_authority members "$authorities/members.csr.pem"
{authorities}cp "$authorities/root.pem" "$authorities/tls-root.pem" "$certificates"
cp "$authorities/members.pem" "$certificates/intermediates.pem"
{signed}
"""
_FABRIC_CA = """\
#!/bin/sh
# Ask Fabric CAs (1.5 or later) for the certificates, with the requests that are here: their keys stay here too.
# Usage: fabric-ca.sh REQUESTS CERTIFICATES
# CA and TLS_CA are the servers' addresses, https://HOST:PORT; CA_ROOT and TLS_CA_ROOT the files with the roots of their
# own TLS certificates.{authority}
# Whoever administers the CAs has registered these identities before, and chosen their secrets:
{registered}
set -eu
requests=$1 certificates=$2
umask 077
mkdir -p "$certificates"
hide() {{ if [ -t 0 ]; then stty "$1"; fi; }} # what is typed at a terminal
trap 'hide echo' EXIT
trap 'exit 1' HUP INT TERM
enrol() {{
    hide -echo
    printf 'secret of %s: ' "$4" >&2
    IFS= read -r secret
    hide echo
    echo >&2
    secret=$(printf '%s' "$secret" | sed 's/[\\\\"]/\\\\&/g') # as curl's configuration quotes it
    request=$(awk '{{ printf "%s\\\\n", $0 }}' "$requests/$5.csr.pem")
    printf 'user = "%s:%s"\\n' "$4" "$secret" |
        curl --silent --show-error --fail --config - --cacert "$2" --header 'Content-Type: application/json' \\
            --data "{{\\"certificate_request\\":\\"$request\\",\\"profile\\":\\"$3\\"}}" "$1/api/v1/enroll" |
        sed -n 's/.*"Cert":"\\([^"]*\\)".*/\\1/p' | base64 -d > "$certificates/$5.pem"
    [ -s "$certificates/$5.pem" ] || {{ echo "the CA gave no certificate for $4" >&2; exit 1; }}
}}
{enrolled}
echo "Put the CAs' own certificates beside them: root.pem, tls-root.pem and, if there are any between,"
echo "intermediates.pem."
"""


def authority_scripts(requests: Sequence[Request], domain: str) -> dict[str, bytes]:
    """By file name."""
    persons = [one for one in requests if one.name == AUTHORITY]
    authorities = "".join(
        f'sign_authority {one.name} "$requests/{one.name}.csr.pem"\ncp "$authorities/{one.name}.pem" "$certificates"\n'
        for one in persons
    )
    signed = [
        f'sign {_issuer(one)} "$requests/{one.name}.csr.pem" "$certificates/{one.name}.pem" {DAYS} "$subject"'
        for one in requests
        if one not in persons
    ]
    openssl = _OPENSSL.format(domain=domain, authorities=authorities, signed="\n".join(signed))
    registered = [f"#   fabric-ca-client register {_registration(one)}" for one in requests]
    enrolled = [f"enrol {_server(one)} {_profile(one)} {one.common_name} {one.name}" for one in requests]
    below = " CA is below a root, which is ROOT_CA, and ROOT_CA_ROOT that file of its." if persons else ""
    fabric_ca = _FABRIC_CA.format(authority=below, registered="\n".join(registered), enrolled="\n".join(enrolled))
    return {"openssl.sh": openssl.encode(), "fabric-ca.sh": fabric_ca.encode()}


def _issuer(request: Request) -> str:
    return "tls-root" if request.hosts else "members"


def _server(request: Request) -> str:
    server = _variable(request)
    return f'"${server}" "${server}_ROOT"'


def _variable(request: Request) -> str:
    return "TLS_CA" if request.hosts else "ROOT_CA" if request.ou is None else "CA"


def _profile(request: Request) -> str:
    return "tls" if request.hosts else "ca" if request.ou is None else '""'


def _registration(request: Request) -> str:
    """`--id.type` becomes the OU."""
    attributes = [f"{name}={value}:ecert" for name, value in request.attributes.items()]
    attributes += ["hf.IntermediateCA=true"] if _profile(request) == "ca" else []
    given = f"--id.name {request.common_name} --id.type {request.ou or 'client'}"
    given += f" --id.attrs '{','.join(attributes)}'" if attributes else ""
    return f"-u ${_variable(request)} {given}"
