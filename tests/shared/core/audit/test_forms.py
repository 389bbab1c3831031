"""The forms in which commands carry secrets: each is masked, and what stands around it is shown."""

from __future__ import annotations

import re
import shlex

import pytest

from shared.core.audit.masking import masked, masked_words

S = "hUnTer2x"

FORMS = """
AWS_SECRET_ACCESS_KEY=S aws s3 ls KEEP
export AWS_SECRET_ACCESS_KEY=S; echo KEEP
MYSQL_PWD=S mysql -u root KEEP
PGPASSWORD=S psql -h KEEP
PGPASSWORD='a S' psql -h KEEP
env DB_PASS=S KEEP
sudo env DB_PASS=S KEEP
declare -x API_KEY=S; KEEP
local TOKEN=S KEEP
readonly MY_CREDS=S KEEP
TOKENS=(S other) KEEP
curl -u KEEP:S https://x.example/
curl -uKEEP:S https://x.example/
curl -sSu KEEP:S https://x.example/
curl --user KEEP:S https://x.example/
curl --user=KEEP:S https://x.example/
curl -U KEEP:S -x proxy https://x.example/
curl --proxy-user KEEP:S https://x.example/
curl -E cert.pem:S KEEP
curl --pass S KEEP
curl --oauth2-bearer S KEEP
curl -b session=S KEEP
curl --cookie session=S KEEP
curl -H 'Cookie: a=S; b=S' KEEP
curl -H 'Cookie:a=S' KEEP
curl -H "Authorization: Bearer S" KEEP
curl -H "Proxy-Authorization: Basic S" KEEP
curl -H 'X-Api-Key: S' KEEP
curl -H 'X-Auth-Token: S' KEEP
curl -d 'user=KEEP&password=S&x=y' u
curl -d 'user=KEEP&pwd=S' u
curl --data-urlencode 'user=KEEP&client_secret=S' u
curl -F token=S KEEP
curl --json '{"user": "KEEP", "password": "S"}' u
curl -d '{"a":{"apiKey":"S"},"user":"KEEP"}' u
curl -d '{"passwords":["S","S"],"user":"KEEP"}' u
curl -d "{\\"password\\": \\"S\\", \\"user\\": \\"KEEP\\"}" u
curl 'https://x.example/?key=S&user=KEEP'
curl 'https://x.example/KEEP?sig=S'
curl 'https://x.example/?user=KEEP&access_token=S'
curl 'https://x.example/?X-Amz-Signature=S&x=KEEP'
curl https://KEEP.example/?code=S
git clone https://user:S@example.com/KEEP
git -c http.extraHeader='Authorization: Basic S' clone KEEP
wget --password=S KEEP
wget --http-password S KEEP
wget --header='Authorization: Bearer S' KEEP
http -a KEEP:S GET u
sshpass -p S ssh KEEP
sshpass -pS ssh KEEP
mysql -u root -pS KEEP
mysqldump -pS KEEP
mariadb --password=S KEEP
mysql -e "ALTER USER KEEP IDENTIFIED BY 'S'"
psql 'postgres://u:S@host/KEEP'
psql "host=KEEP password=S"
psql -c "ALTER ROLE KEEP WITH PASSWORD 'S'"
mongo -u KEEP -p S db
redis-cli -a S KEEP
7z a -pS KEEP
zip -P S KEEP
zip -rP S KEEP
unzip -P S KEEP
rar a -hpS KEEP
htpasswd -b KEEP user S
htpasswd -nb KEEP S
ldapsearch -x -D KEEP -w S
ldapmodify -wS KEEP
ldapadd -D cn=KEEP -w S
openssl rsa -in KEEP -passin pass:S
openssl enc -pass pass:S -in KEEP
openssl enc -k S -in KEEP
openssl pkcs12 -passout pass:S -in KEEP
keytool -storepass S -keypass S KEEP
docker login -u KEEP -p S
docker login --password S KEEP
podman login -p S KEEP
helm registry login --password S KEEP
az login -u KEEP -p S
az storage blob list --account-key S KEEP
gh secret set KEEP --body S
gh auth login --with-token <<< S
smbclient -U KEEP%S //h/s
net use //h/KEEP S
kubectl create secret generic KEEP --from-literal=password=S
kubectl create secret generic KEEP --from-literal=x=S
kubectl create secret generic KEEP --from-literal x=S
kubectl --token=S get KEEP
gcloud auth print --access-token=S KEEP
gcloud x --access-token S KEEP
aws configure set aws_secret_access_key S --profile KEEP
aws configure set aws_session_token S --profile KEEP
vault kv put secret/KEEP password=S
vault login S
ansible-playbook -e 'ansible_password=S' KEEP
ansible-playbook -e "x=KEEP ansible_become_pass=S"
ansible all -e '{"ansible_ssh_pass": "S", "u": "KEEP"}'
echo S | passwd --stdin KEEP
echo 'bob:S' | chpasswd; KEEP
echo S | sudo -S KEEP
echo S | docker login --password-stdin KEEP
printf '%s' S | gh auth login --with-token; KEEP
chpasswd <<< bob:S; KEEP
tool --pass S KEEP
tool --pwd S KEEP
tool --pwd=S KEEP
tool --passwords S KEEP
tool --secrets S KEEP
tool --tokens=S KEEP
tool --secret-key X1S KEEP
tool --secretKey S KEEP
tool --privateKey S KEEP
tool --encryption_key S KEEP
tool --accesskeys S KEEP
tool -password S KEEP
tool --dbPassword=S KEEP
tool db.password=S KEEP
tool -Dssl.keyStorePassword=S KEEP
tool password: S KEEP
tool password = S KEEP
tool secret S KEEP
tool --set auth.password=S KEEP
tool --opts user=KEEP,password=S,x=y
tool 'Server=KEEP;Password=S;X=y'
tool '<password>S</password><user>KEEP</user>'
tool $'pass\\x77ord' S KEEP
tool password $'S' KEEP
tool password $"S" KEEP
tool pass\\word S KEEP
tool pass''word=S KEEP
bash -c 'mysql -pS KEEP'
bash -lc "curl -u KEEP:S x"
sh -c "sh -c 'gam update user KEEP password S'"
eval 'gam update user KEEP password S'
ssh host 'mysql -pS KEEP'
ssh host mysql -pS KEEP
timeout 5 curl -u KEEP:S x
nohup sshpass -p S ssh KEEP
xargs -I{} curl -u KEEP:S {}
docker exec c mysql -pS KEEP
echo $(curl -u KEEP:S x)
echo "x $(curl -u KEEP:S x)"
echo `curl -u KEEP:S x`
diff <(curl -u KEEP:S x) y
(gam update user KEEP password S)
{ gam update user KEEP password S; }
gam info KEEP && gam update user bob password S
gam info KEEP | gam update user bob password S & echo
if true; then gam update user KEEP password S; fi
${PASSWORD:-S} KEEP
export PASSWORD=${X:-S}; KEEP
xfreerdp /u:KEEP /p:S
sqlcmd -U KEEP -P S
ssh-keygen -N S -f KEEP
gpg --batch --passphrase S KEEP
lftp -u KEEP,S host
snmpwalk -c S KEEP
twine upload -u KEEP -p S
npm config set //registry.npmjs.org/:_authToken S KEEP
iex '$password = "S"; KEEP'
python3 -c 'print("KEEP"); password = "S"'
sqlplus KEEP/S@db
sqlplus -s KEEP/S@//h:1521/db
rman target KEEP/S@db
samba-tool user create KEEP S
samba-tool user add KEEP S --given-name=x
fly secrets set X=S -a KEEP
fly secrets set X=S KEEP=S
heroku config:set X=S -a KEEP
vault write auth/KEEP other=S
doctl auth init -t S KEEP
doctl --access-token S KEEP
net user KEEP S /add
net user KEEP S
net use //h/KEEP S /user:bob
curl -H "X-Api-Key: S" KEEP
curl --header "X-Api-Key:S" KEEP
curl -H 'Private-Token: S' KEEP
wget --header "X-Api-Key: S" KEEP
wget --header='Cookie: S' KEEP
export A=KEEP PASSWORD=S; x
New-ADUser -Name KEEP -Password S
powershell -Command "Set-X -Password S -Name KEEP"
ConvertTo-SecureString "S" -AsPlainText KEEP
kubectl config set-credentials KEEP --token S
kubectl config set-credentials KEEP --token=S
kubectl config set-credentials KEEP --username=a --password=S
docker run -e DB_PASSWORD=S KEEP
docker run --env DB_PASSWORD=S KEEP
docker run --env=DB_PASSWORD=S KEEP
ssh user:S@KEEP
scp f user:S@KEEP:/x
ftp ftp://u:S@KEEP
tool Bearer S KEEP
tool 'KEEP Bearer S'
tool KEEP=Bearer\\ S
x?key=S&sig=S&user=KEEP
x https://h/KEEP?X-Goog-Signature=S
x https://h/KEEP?X-Amz-Security-Token=S
az x --connection-string 'DefaultEndpointsProtocol=https;AccountName=KEEP;AccountKey=S==;EndpointSuffix=x'
x 'Endpoint=sb://KEEP/;SharedAccessKeyName=R;SharedAccessKey=S='
x "Server=KEEP;Password=S;User Id=x"
x "Password=S;User Id=bob" KEEP
x "Pwd=S;User Id=bob" KEEP
x 'jdbc:mysql://h/db?user=KEEP&password=S'
x 'jdbc:sqlserver://h;user=KEEP;password=S'
x jdbc:oracle:thin:u/S@KEEP:1521
set password S KEEP
set PASSWORD=S KEEP
mysql -e "create user KEEP identified by 'S'"
mysql -e "SET PASSWORD FOR KEEP = 'S'"
mysql -e "create user KEEP identified with mysql_native_password by 'S'"
psql -c "create user KEEP password 'S'"
mysql -p'S' KEEP
mysql -p"S" KEEP
openssl pkcs12 -password pass:S KEEP
echo S | gcloud secrets create KEEP --data-file=-
echo 'S' | passwd bob; KEEP
passwd <<< S; KEEP
bw login KEEP S
cargo login S
isql dsn KEEP S
tsql -H h -U KEEP -P S
psexec -u KEEP -p S
plink -pw S KEEP
schtasks /create /ru KEEP /rp S
winrs -u:KEEP -p:S
security add-generic-password -a bob -w S KEEP
GITHUB_PAT=S KEEP
tool --pat S KEEP
tool --psk S KEEP
tool --bearer S KEEP
slack --url https://hooks.slack.com/services/T/B/S KEEP
gam update user show password S firstname KEEP
gam update user delete password S firstname KEEP
gam create user KEEP delete password S
docker rm password S KEEP
gam delete KEEP; x password S
kubectl delete KEEP | x password S
gam config KEEP # password: S
""".strip().splitlines()

DOCUMENTS = [
    "gam update user bob password \\\nS\ngam info KEEP",
    "gam update user bob password\\\n S KEEP",
    "cat > f <<EOF\n[KEEP]\npassword = a S\nEOF\ngam info KEEP",
    "cat <<'EOF'\nuser: KEEP\npassword: a S\nEOF",
    "cat <<-EOF\n\tapi_key: S\n\tEOF\necho KEEP",
    "chpasswd <<EOF\nbob:S\nEOF\necho KEEP",
    "cat <<EOF | chpasswd\nbob:S\nEOF\necho KEEP",
    "cat <<EOF | tr -d x | sudo -S true\nS\nEOF\necho KEEP",
    "cat <<< bob:S | chpasswd; echo KEEP",
    "echo bob:S | tee KEEP | chpasswd",
    "printf '%s' S | tr -d '\\n' | docker login -u KEEP --password-stdin",
    "OPTIONS='--password S' gam KEEP",
    "OPTIONS='user KEEP password S'; gam $OPTIONS",
    "gam KEEP --query='password S'",
    "CONFIG='password x\npassword: a S\nuser: KEEP'",
    'ARGS="-u KEEP --data \'{\\"token\\": \\"S\\"}\'" run',
    "cat <<EOF | wc -l; chpasswd < f\nKEEP\nEOF",
    "echo KEEP | wc -l; echo bob:S | chpasswd",
    "bash <<'EOF'\ncurl -u KEEP:S x\nEOF",
    "cat > f <<EOF\nmachine KEEP login bob password S\nEOF",
    "cat > f <<EOF\nit's KEEP\ncurl -u me:S x\nEOF",
    'cat > f <<EOF\n{"token": "S",\n"user": "KEEP"}\nEOF',
    "# don't\ngam update user KEEP password S",
    "echo $((1<<2)) KEEP\ngam update user bob password S",
    "gam delete user bob\ngam update user KEEP password S",
    "kubectl apply -f - <<EOF\nkind: KEEP\nstringData:\n  password: S\nEOF",
]


@pytest.mark.parametrize("form", [*FORMS, *DOCUMENTS])
def test_the_secret_is_masked_and_the_rest_is_shown(form: str) -> None:
    command = _with_secret(form)
    for line in (command, shlex.join(["sh", "-c", command]), shlex.join(["bash", "-lc", command])):
        shown = masked(line)
        assert S not in shown
        assert "KEEP" in shown or "KEEP" not in form
    shown_words = "\0".join(masked_words(["sh", "-c", command]))
    assert S not in shown_words
    assert "KEEP" in shown_words or "KEEP" not in form


@pytest.mark.parametrize(
    "command",
    [
        "gcloud auth activate-service-account --key-file f.json",
        "gcloud auth activate-service-account a@example.com --key-file=f.json",
        "openssl rsa -passin env:PASS -in x",
        "openssl x -passout env:X -out y",
        "openssl x -passin file:f -passout stdin",
        "gam update user bob password random firstname x",
        "gam update user bob password random 20 firstname x",
        "gam update user bob password prompt firstname x",
        "gam update user bob notfoundpassword blocklogin",
        "gam create user bob notify carol@example.com notifyrecoveryemail subject x",
        "gam user bob show token clientid x",
        "gam user bob delete token clientid x",
        "gam calendar x add acls writer user:bob@example.com",
        "kubectl get secret x -o yaml",
        "net user bob",
        "net use",
        "samba-tool user list",
        "samba-tool user delete bob",
        "sqlplus /nolog",
        "ssh bob@host -p 22",
        "scp host:a b",
        "fly secrets list -a x",
        "tool basic plan",
        "basic training",
        "passwd -l bob",
        "sqlplus -s / as sysdba",
    ],
)
def test_what_tells_no_secret_is_shown_as_it_is(command: str) -> None:
    assert masked(command) == command
    assert masked_words(shlex.split(command)) == shlex.split(command)


def test_basic_announces_a_secret_wherever_it_stands() -> None:
    for line in ("curl -H x Basic dXNlcjpoVW5UZXIyeA== u", "echo 'send basic dXNlcjpoVW5UZXIyeA'"):
        assert "dXNlcjpoVW5UZXIyeA" not in masked(line)


def _with_secret(form: str) -> str:
    """The form with the secret in the place of a capital S that stands alone."""
    return re.sub(r"(?<!sudo -)(?<![A-Z_a-zX])S(?![A-Za-z_])|(?<=-[pPw])S\b|(?<=-hp)S\b|(?<=X1)S\b", S, form)
