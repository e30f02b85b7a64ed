# shellcheck shell=bash
# What all scripts here share: strict mode, the project root, one way to print and one way to fail.
# Sourced, never run: `source "$(dirname "$0")/lib.sh"`.

set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
SCRIPT="scripts/$(basename "$0")"

# Output of the step that is running: shown only when it fails.
STEP_LOG=$(mktemp)
trap 'rm -f "$STEP_LOG"' EXIT

# say TEXT…: one line for the user at the terminal. On stderr, so that stdout is left for results.
say() { printf '%s\n' "$*" >&2; }

# fail TEXT…: one sentence that names what is wrong and what to do, then exit 1.
fail() {
    printf '\n%s: %s\n' "$SCRIPT" "$*" >&2
    exit 1
}

# unknown_option WORD: ends the script, which has no such option.
unknown_option() { fail "unknown option '$1': $SCRIPT --help lists them all."; }

# step TEXT COMMAND…: says what is being done, does it quietly, and says how long it took.
# Returns the command's status; if that is not 0, the last lines that it printed are shown.
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

# help_from_header: prints the comment block at the top of the script that was called.
help_from_header() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$SCRIPT"; }

is_root() { ((EUID == 0)); }

# The distribution's ID and code name, e.g. "debian bookworm"; os-release(5).
distribution() { (source /etc/os-release 2>/dev/null && echo "${ID:-unknown} ${VERSION_CODENAME:-unknown}") || echo "unknown unknown"; }

# apt_install PACKAGE…: installs packages of the distribution; needs root. Ends the script if that fails, also
# if an installed package would have to be removed (docker.io replaces Docker's own docker-ce).
apt_install() {
    # --error-on=any: a plain "update" exits with 0 without a network.
    step "Reading the package lists" apt-get update --quiet --error-on=any ||
        fail "the package lists could not be read: check the network and /etc/apt, then run this again."
    step "Installing $*" env DEBIAN_FRONTEND=noninteractive \
        apt-get install --quiet --yes --no-remove --no-install-recommends "$@" ||
        fail "$* could not be installed: the lines above say why."
}

# apt_uri RELEASE: the address from which this machine gets a release of its distribution, e.g.
# `apt_uri bookworm-security`. Empty if it has no such source. Nothing but the machine's own sources
# is used, and so a private mirror is respected.
apt_uri() {
    # shellcheck disable=SC2016 # the dollars are for apt
    apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
        awk -v release="$1" '$1 == release && $2 == "main" { print $3; exit }'
}

# local_ca: the certificate bundle that a build needs on this machine, if it has certificates of
# its own (a company proxy's, for example); otherwise nothing.
local_ca() {
    local bundle=${SSL_CERT_FILE:-${PIP_CERT:-${REQUESTS_CA_BUNDLE:-}}}
    if [ -z "$bundle" ] && compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
        bundle=/etc/ssl/certs/ca-certificates.crt
    fi
    [ ! -r "$bundle" ] || printf '%s' "$bundle"
}

# use_local_ca: passes that bundle to Compose's builds, unless .env or the environment names one.
use_local_ca() { grep --quiet --no-messages '^BUILD_CA=' .env || export BUILD_CA="${BUILD_CA-$(local_ca)}"; }

# need_engine: ends the script if no engine answers.
need_engine() {
    docker version >/dev/null 2>"$STEP_LOG" || fail "no Docker engine answers: $(tail --lines=1 "$STEP_LOG")"
}

# project_name: Compose's name for this stack. Ends the script if the settings do not work.
project_name() {
    docker compose config 2>"$STEP_LOG" | sed --quiet 's/^name: //p' ||
        fail "compose.yaml does not work with these settings: $(tail --lines=1 "$STEP_LOG")"
}

# find_site: sets $project to Compose's name for this stack. Ends the script if there is no
# engine, or no image yet, or if the name belongs to another site.
find_site() {
    project=$(project_name)
    need_engine
    own_name
    docker image inspect "$project-app" >/dev/null 2>&1 ||
        fail "there is no image of this site here: run scripts/up first."
    fit_compose
}

# volume NAME: the engine's name for a volume of compose.yaml.
volume() {
    docker compose config | awk -v name="$1:" '/^[^ ]/ { part = $1 } part == "volumes:" && /^  [^ ]/ { this = $1 }
        part == "volumes:" && this == name && /^    name:/ { gsub(/"/, "", $2); print $2 }'
}

# command_of_image: the command in the site's image that runs its programs (stack/__main__.py); a label names it.
# Images of 20281f2 and before have none.
command_of_image() { docker image inspect --format '{{index .Config.Labels "stack.command"}}' "$project-app" 2>/dev/null; }

# fit_compose: lets Compose start the site's image, whichever release it is: images without a command need
# compose/older.yaml.
fit_compose() {
    [ ! "$(command_of_image)" ] || return 0
    COMPOSE_FILE=${COMPOSE_FILE:-$({ sed --quiet "s/^COMPOSE_FILE=//p" .env 2>/dev/null || true; } | tail --lines=1 | tr --delete "\"'")}
    export COMPOSE_FILE=${COMPOSE_FILE:-compose.yaml}:compose/older.yaml
}

# program WORD: the command that runs this program of the stack in a container of the site's image.
program() {
    local command
    command=$(command_of_image)
    if [ "$command" ]; then echo "$command $1"; else echo "python3 /uwsgi/$1.py"; fi
}

# job WORD ARGUMENT…: runs a program of the stack in a container of its own, with the site's volumes and as the
# site's user, whether the site is running or not. stdin and stdout are the program's.
# shellcheck disable=SC2046 # several words
job() { docker compose run --rm --no-deps --no-TTY init $(program "$1") "${@:2}"; }

# own_name: ends the script if $project is the name of a site in another folder, whose containers and data
# would be taken for this one's. A label of an empty volume, which outlives scripts/down, has that folder; for a
# site that has no such volume yet (of an older release, or started by Compose alone), its containers have it.
# "moved": from now on, it is this folder.
own_name() {
    local mark=$project-folder data owner label=com.docker.compose.project
    data=$(volume data)
    if [ "${1-}" = moved ] || ! docker volume inspect "$data" >/dev/null 2>&1; then
        docker volume rm --force "$mark" >/dev/null
    fi
    owner=$(docker volume inspect --format '{{.Labels.folder}}' "$mark" 2>/dev/null) ||
        owner=$([ "${1-}" = moved ] || docker ps --all --filter "label=$label=$project" --format "{{.Label \"$label.working_dir\"}}" | head --lines=1)
    [[ ! $owner || $owner -ef . ]] ||
        fail "the name $project is that of the site in $owner: give this one a name of its own with COMPOSE_PROJECT_NAME=… in .env; or, if it is that site, and its folder was moved, run scripts/up --moved, once."
    ! docker volume inspect "$data" >/dev/null 2>&1 ||
        docker volume create --label "$label=$project" --label "folder=$(pwd -P)" "$mark" >/dev/null
}

# only_one: ends the script if another one is changing the stack. The lock is on a file named after the
# project (scripts/lib/release/project.py uses the same one); the kernel releases it even if a script is killed.
only_one() {
    local lock=/tmp/compose-$project.lock
    (umask 022 && set -o noclobber && : >"$lock") 2>/dev/null || true
    exec 9<"$lock"
    flock --nonblock 9 || fail "another script is changing this stack at the moment: wait until it has ended, then run this again."
}

# check_settings: ends the script if Compose cannot work with the settings, or a name is misspelt.
check_settings() {
    local name
    # Compose passes on only what .env.example lists, so it would silently ignore a misspelt variable.
    while read -r name; do
        grep --quiet "^#$name=" .env.example ||
            fail "the environment has $name, which is not a setting; .env.example lists them all."
    done < <(compgen -e SITE_)
    project_name >/dev/null
}

# has_python: whether python3 is new enough for scripts/lib/release.
has_python() { python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# go_on_in_python MODULE ARGUMENT…: becomes a program of scripts/lib/release, which reports its own errors.
go_on_in_python() {
    has_python ||
        fail 'this needs Python 3.11 or later as "python3": install it, or let scripts/up do that, as root on Debian or Ubuntu.'
    rm --force "$STEP_LOG"
    PYTHONPATH=scripts/lib exec python3 -B -m "$@"
}
