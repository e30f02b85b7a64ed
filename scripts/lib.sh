# shellcheck shell=bash
# What every script here shares: strict mode, the project root, one way to speak and one way to fail.
# Sourced, never run: `source "$(dirname "$0")/lib.sh"`.

set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
SCRIPT="scripts/$(basename "$0")"

# Output of the step that is running: shown only when it fails.
STEP_LOG=$(mktemp)
trap 'rm -f "$STEP_LOG"' EXIT

# say TEXT…: one line for the person at the terminal. On stderr, so that stdout stays for results.
say() { printf '%s\n' "$*" >&2; }

# fail TEXT…: one sentence that names what is wrong and what to do, then exit 1.
fail() {
    printf '\n%s: %s\n' "$SCRIPT" "$*" >&2
    exit 1
}

# step TEXT COMMAND…: says what is being done, does it quietly, says how long it took.
# Returns the command's status; when that is not 0, the last lines it printed are shown.
step() {
    local text=$1 started=$SECONDS status=0
    shift
    printf '  %s … ' "$text" >&2
    "$@" >"$STEP_LOG" 2>&1 </dev/null || status=$?
    if ((status == 0)); then
        printf 'done (%d s)\n' "$((SECONDS - started))" >&2
    else
        printf 'FAILED\n' >&2
        tail --lines=15 "$STEP_LOG" | sed 's/^/    | /' >&2
    fi
    return "$status"
}

# last_line [PATTERN]: the last that the last step printed, of what matches, or else of all.
last_line() { { grep "${1-.}" "$STEP_LOG" || cat "$STEP_LOG"; } | tail --lines=1 | sed 's/^ *//'; }

# help_from_header: prints the comment block at the top of the script that was called.
help_from_header() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$SCRIPT"; }

is_root() { ((EUID == 0)); }

# The distribution's ID and code name, e.g. "debian bookworm"; os-release(5).
distribution() { (source /etc/os-release 2>/dev/null && echo "${ID:-unknown} ${VERSION_CODENAME:-unknown}") || echo "unknown unknown"; }

# apt_install PACKAGE…: installs packages of the distribution; needs root. Ends the script when it fails,
# also when a package that is there would have to go (docker.io replaces Docker's own docker-ce).
apt_install() {
    # --error-on=any: plain "update" exits 0 without a network.
    step "Reading the package lists" apt-get update --quiet --error-on=any ||
        fail "the package lists could not be read: check the network and /etc/apt, then run this again."
    step "Installing $*" env DEBIAN_FRONTEND=noninteractive \
        apt-get install --quiet --yes --no-remove --no-install-recommends "$@" ||
        fail "$* could not be installed: the lines above say why."
}

# apt_uri RELEASE: the address from which this machine gets a release of its distribution, e.g.
# `apt_uri bookworm-security`. Empty when it has no such source. The machine's own sources are the
# only place where we look for a mirror, so a private one is used as it is.
apt_uri() {
    # shellcheck disable=SC2016 # the dollars are for apt
    apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
        awk -v release="$1" '$1 == release && $2 == "main" { print $3; exit }'
}

# local_ca: the certificate bundle that a build needs on this machine, when it has certificates of
# its own (a company proxy, for example); else nothing.
local_ca() {
    local bundle=${SSL_CERT_FILE:-${PIP_CERT:-${REQUESTS_CA_BUNDLE:-}}}
    if [ -z "$bundle" ] && compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
        bundle=/etc/ssl/certs/ca-certificates.crt
    fi
    [ ! -r "$bundle" ] || printf '%s' "$bundle"
}

# use_local_ca: lets Compose's builds have that bundle, unless .env or the environment names one.
use_local_ca() { grep --quiet --no-messages '^BUILD_CA=' .env || export BUILD_CA="${BUILD_CA-$(local_ca)}"; }

# need_engine: ends the script where no engine answers.
need_engine() {
    docker version >/dev/null 2>"$STEP_LOG" || fail "no Docker engine answers: $(tail --lines=1 "$STEP_LOG")"
}

# project_name: the name that Compose has for this stack. Ends the script when the settings do not fit.
project_name() {
    docker compose config 2>"$STEP_LOG" | sed --quiet 's/^name: //p' ||
        fail "compose.yaml does not work with these settings: $(tail --lines=1 "$STEP_LOG")"
}

# find_site: sets $project to the name that Compose has for this stack. Ends the script where there is no
# engine, or no image yet.
find_site() {
    project=$(project_name)
    need_engine
    docker image inspect "$project-app" >/dev/null 2>&1 ||
        fail "there is no image of this site here: run scripts/up first."
    fit_compose
}

# volume NAME: the name that the engine has for a volume of compose.yaml.
volume() {
    docker compose config | awk -v name="$1:" '/^[^ ]/ { part = $1 } part == "volumes:" && /^  [^ ]/ { this = $1 }
        part == "volumes:" && this == name && /^    name:/ { gsub(/"/, "", $2); print $2 }'
}

# fit_compose: lets Compose start the images of $project as they are: those of 20281f2 and before need
# compose/older.yaml. To be called when the images have changed.
fit_compose() {
    : "${files:=${COMPOSE_FILE:-$(sed --quiet "s/^COMPOSE_FILE=//p" .env 2>/dev/null | tail --lines=1 | tr --delete "\"'")}}"
    COMPOSE_FILE=${files:=compose.yaml}
    [ "$(docker image inspect --format '{{index .Config.Labels "stack.command"}}' "$project-app" 2>/dev/null)" ] ||
        COMPOSE_FILE+=:compose/older.yaml
    export COMPOSE_FILE
}

# program OBJECT WORD: the command, in words for a shell, by which a container or an image of the site is asked
# for something (stack/__main__.py). Images say so in a label; those of 20281f2 and before have none.
program() {
    local command
    command=$(docker inspect --format '{{index .Config.Labels "stack.command"}}' "$1")
    if [ "$command" ]; then
        echo "$command $2"
        return
    fi
    # shellcheck disable=SC2016 # the dollars are for the container's shell
    case $2 in
        init) echo "python3 /uwsgi/init.py" ;;
        check) echo "python3 /uwsgi/init.py --check" ;;
        check-uwsgi) echo "uwsgi --ini /uwsgi/mysite.ini --hook-asap exit:0" ;;
        promote) echo "python3 /uwsgi/publish.py" ;;
        drain) echo "python3 /uwsgi/drain.py && python3 /uwsgi/pause.py" ;;
        rotate | forget) echo "python3 /uwsgi/secret_key.py $2" ;;
        serves) echo '[ /run/uwsgi/mysite.sock -ef "/run/uwsgi/$HOSTNAME.sock" ]' ;;
        workers) echo 'for id in $(</proc/1/task/1/children); do
            ! grep --quiet --null-data mysite.ini "/proc/$id/cmdline" || echo "$id"
        done' ;;
        *) echo "python3 /uwsgi/$2.py" ;;
    esac
}
# ask CONTAINER WORD: has a container of the site run that.
ask() { docker exec "$1" bash -c "$(program "$1" "$2")"; }

# job WORD ARGUMENT…: runs a program of the stack in a container of its own, with the site's volumes and as the
# site's user, whether the site runs or not. stdin and stdout are the program's.
job() { docker compose run --rm --no-deps --no-TTY init bash -c "$(program "$project-app" "$1")"' "$@"' job "${@:2}"; }

# only_one: ends the script while another one that changes the stack is at work. The lock is on the
# project's folder; the kernel takes it back, also from a script that was killed.
only_one() {
    exec 9<.
    flock --nonblock 9 || fail "another script is changing this stack at the moment: wait until it has ended, then run this again."
}

# check_settings: ends the script when Compose cannot work with the settings, or one is misspelt.
check_settings() {
    local name
    # Compose hands on what .env.example lists, so it would silently ignore a misspelt variable.
    while read -r name; do
        grep --quiet "^#$name=" .env.example ||
            fail "the environment has $name, which is not a setting; .env.example lists them all."
    done < <(compgen -e SITE_)
    project_name >/dev/null
}

# build_images: returns Compose's status. At a terminal, what Compose shows is worth seeing.
build_images() {
    use_local_ca
    if [ -t 2 ]; then
        say "Building the images"
        docker compose build
    else
        step "Building the images" docker compose build
    fi
}

# has_emperor: whether compose/emperor.yaml is in use. (Not a pipe: grep's early end would end Compose.)
has_emperor() { grep --quiet --line-regexp vassals < <(docker compose config --services); }

# one_shot_services: the jobs before a start, in their order, one a line; certificate is of compose/tls.yaml.
one_shot_services() {
    local job services
    services=$(docker compose config --services)
    for job in init certificate nginx-config; do
        grep --line-regexp --fixed-strings "$job" <<<"$services" || true
    done
}
