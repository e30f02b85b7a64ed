# shellcheck shell=bash
# What can be done with the containers of the stack while it serves. Sourced after lib.sh, never run.

# The project's name, as Compose has it; what runs once, and ends.
project=$(project_name)
mapfile -t jobs < <(one_shot_services)

# Under an Emperor the app's container has other programs, other users and several sites.
! has_emperor ||
    fail "this works with one site, and compose/emperor.yaml has several: docs/emperor.md says what to do there."

# containers SERVICE [docker ps OPTION…]: ids, the newest first; none of "docker compose run".
containers() {
    docker ps --all --no-trunc --quiet --filter "label=com.docker.compose.project=$project" \
        --filter "label=com.docker.compose.service=$1" --filter label=com.docker.compose.oneoff=False "${@:2}"
}
field() { docker inspect --format "{{$2}}" "$1"; }
# once SERVICE COMMAND…: a container of the release that :latest is, for one command.
once() { docker compose run --rm --no-deps --no-TTY "$@"; }

# serves APP: the public name of the socket is this container's (stack/handover/promote.py).
serves() { ask "$1" serves 2>/dev/null; }

# becomes_healthy CONTAINER SECONDS: waits for it; returns 1, with its last words, when it ends or is late.
becomes_healthy() {
    local deadline=$((SECONDS + $2))
    until [ "$(field "$1" .State.Health.Status)" = healthy ]; do
        if [ "$(docker inspect --format '{{.State.Status}},{{.RestartCount}}' "$1")" != running,0 ] || ((SECONDS > deadline)); then
            # Of its first attempt: the engine may have started it once more by now.
            docker logs "$1" 2>&1 | sed '1!{/getting INI configuration/,$d}' | tail --lines=12
            docker inspect --format '{{range .State.Health.Log}}{{println .Output}}{{end}}' "$1" |
                sed '/^$/d; s/^/health check: /' | tail --lines=1
            return 1
        fi
        sleep 0.2
    done
}

# workers: their process ids, one a line.
workers() { ask "$app" workers 2>/dev/null; }

# reloaded: lets $app load the site anew (SIGHUP), between two requests of each worker; waits until none of
# those is left, and the site answers. Returns 1, with its last words, when that does not come about.
reloaded() {
    local before started now deadline=$((SECONDS + 120))
    before=$(workers)
    started=$(field "$app" .State.StartedAt)
    ask "$app" pause || return 1
    docker kill --signal HUP "$app"
    until now=$(workers) && [ "$now" ] && ! grep --quiet --line-regexp --fixed-strings "$before" <<<"$now" &&
        ask "$app" healthcheck; do
        if [ "$(field "$app" .State.StartedAt)" != "$started" ] || ((SECONDS > deadline)); then
            docker logs --tail=15 "$app"
            return 1
        fi
        sleep 0.2
    done
}

# takes_over APP SECONDS: healthy, and the socket's public name is its own.
takes_over() {
    becomes_healthy "$1" "$2" || return 1
    local deadline=$((SECONDS + 10))
    until serves "$1"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.1
    done
}

# retire APP: one that gets no new requests finishes those that it has, and goes.
retire() {
    docker update --restart=no "$1" # it must not come back and take the socket
    # Where that cannot be (uWSGI does not run, or is of an older release), the stop is as graceful as it can be.
    ask "$1" drain || true
    docker stop "$1"
    docker rm --force "$1"
}

# beside SERVICE: makes a second container of a service, from :latest and .env, and prints its id.
# Not "up": that would run init again, and with --no-deps it would mark the container as another's.
beside() {
    docker compose create --no-build --no-recreate --scale "app=$(containers app | wc --lines)" \
        --scale "$1=$(($(containers "$1" | wc --lines) + 1))" "$1" >"$STEP_LOG" 2>&1 </dev/null || return 1
    containers "$1" | head --lines=1
}
# alike CONTAINER CONTAINER: the same image, the same settings.
alike() {
    local format='{{.Image}} {{index .Config.Labels "com.docker.compose.config-hash"}}'
    [ "$(docker inspect --format "$format" "$1")" = "$(docker inspect --format "$format" "$2")" ]
}

# swap_nginx OLD NEW SECONDS: two containers cannot have the same port, so there is a gap here. In a session of
# its own, so that a killed script leaves no site without nginx; "always", for a power cut in the gap.
swap_nginx() {
    # shellcheck disable=SC2016 # the dollars are for that bash
    setsid --wait bash -c '
        docker update --restart=always "$1"
        docker stop "$1"
        docker start "$2" || { docker start "$1"; exit 1; }' bash "$1" "$2" || return 1
    becomes_healthy "$2" "$3" || { docker stop "$2" && docker start "$1" && return 1; }
}

# The images of a release.
IMAGES=(app nginx-config nginx)
# images: the ids of those that serve, in that order.
images() { echo "$(field "$app" .Image) $(field "$(containers nginx-config | head --lines=1)" .Image) $(field "$nginx" .Image)"; }
# named TAG ID…: gives the images of a release a tag.
named() {
    local name tag=$1
    for name in "${IMAGES[@]}"; do
        shift
        docker tag "$1" "$project-$name:$tag"
    done
}
# remember ID…: the release that --rollback will go to, unless it is what serves. (The job's container may
# still be of the release before: what it ran from is :latest.)
remember() {
    local job
    job=$(docker image inspect --format '{{.Id}}' "$project-nginx-config")
    [ "$*" = "$(field "$app" .Image) $job $(field "$nginx" .Image)" ] || named previous "$@"
}

# configuration: the name of the one that nginx has on its volume now (nginx/configure.sh).
configuration() { docker exec "$nginx" readlink /srv/nginx/current; }
# reconfigured COMMAND…: lets a command, of "once", change that, and waits until nginx has taken it up. nginx
# tests it once more; returns 1, with its last words, when it refuses.
# shellcheck disable=SC2016 # the dollars are for the container's shell
reconfigured() {
    local deadline=$((SECONDS + 30))
    once "$@" || return 1
    until docker exec "$nginx" bash -c '[[ $(</run/nginx/verdict) == *" $(readlink /srv/nginx/current) "* ]]'; do
        ((SECONDS < deadline)) || return 1
        sleep 0.2
    done
    docker exec "$nginx" grep --quiet loaded /run/nginx/verdict || { docker logs --tail=5 "$nginx" && return 1; }
}

# find_serving: sets app and nginx to the containers that serve, and removes what an interrupted deploy
# left. Ends the script with none.
find_serving() {
    local apps each job
    # "docker compose run" leaves a stopped container when it is killed; a job of ours may still be at work.
    docker container prune --force --filter "label=com.docker.compose.project=$project" \
        --filter label=com.docker.compose.oneoff=True >/dev/null
    for job in "${jobs[@]}"; do
        docker ps --quiet --filter "label=com.docker.compose.project=$project" \
            --filter "label=com.docker.compose.service=$job" | xargs --no-run-if-empty docker wait >/dev/null
    done

    mapfile -t apps < <(containers app --filter status=running --filter status=restarting)
    nginx=$(containers nginx --filter status=running | head --lines=1)
    ((${#apps[@]})) && [ "$nginx" ] || fail "no site is running that could be replaced: start it with scripts/up."
    [ "$(containers nginx-config)" ] || fail "what serves is from before nginx had its configuration on a volume: put this release in its place with scripts/up, once."
    app=${apps[-1]}
    for each in "${apps[@]}"; do
        ! serves "$each" || app=$each
    done
    for each in $(containers app) $(containers nginx); do
        [[ "$app $nginx" != *"$each"* ]] || continue
        if [[ " ${apps[*]} " == *" $each "* && $(field "$each" .Created) < $(field "$app" .Created) ]]; then
            # shellcheck disable=SC2046 # one word each
            remember "$(field "$each" .Image)" $(images | cut --delimiter=' ' --fields=2-)
        fi
        step "Removing what an interrupted deploy left" retire "$each" ||
            fail "it could not be removed: the lines above say why."
    done
}
