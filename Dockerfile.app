# The site: Debian → Python → a venv with uWSGI and Django → mysite/.
# Only the last stage ships: no compiler, no pip, no package cache.

# The same base as nginx's, so that Debian's security updates reach the whole stack.
FROM debian:trixie-slim AS base
SHELL ["/bin/bash", "-o", "errexit", "-o", "nounset", "-o", "pipefail", "-c"]
RUN --mount=type=bind,source=debian,target=/debian \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    --mount=type=cache,target=/var/cache/apt,sharing=locked \
    bash /debian/install-packages python3


# The build tools. The secret "ca" holds extra certificates, for networks that re-sign TLS to the package
# index (BUILD_CA in .env); without any it is /dev/null, and nothing changes.
FROM base AS build
WORKDIR /build
RUN --mount=type=bind,source=debian,target=/debian \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    --mount=type=cache,target=/var/cache/apt,sharing=locked \
    bash /debian/install-packages gcc libc6-dev python3-brotli python3-dev python3-venv zlib1g-dev
COPY uwsgi/requirements-build.txt .
RUN --mount=type=secret,id=ca --mount=type=cache,target=/root/.cache \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    python3 -m venv /build/venv; \
    /build/venv/bin/pip install --quiet --require-hashes --requirement requirements-build.txt
ENV PATH=/build/venv/bin:$PATH UV_LINK_MODE=copy


# uWSGI from source, as an extension of Debian's python3. The usual binary links libpython3.13.so
# instead, whose code must be position-independent: that costs 18 to 28 % more CPU time per request.
FROM build AS uwsgi
COPY uwsgi/requirements.txt uwsgi/build.ini ./
RUN --mount=type=secret,id=ca --mount=type=cache,target=/root/.cache \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    pip download --quiet --require-hashes --no-deps --no-binary=:all: --no-build-isolation --requirement requirements.txt; \
    tar --extract --strip-components=1 --file uwsgi-*.tar.gz; \
    UWSGI_PROFILE=/build/build.ini python3 setup.pyuwsgi.py --quiet bdist_wheel


# The venv: the packages in mysite/requirements.txt, byte-compiled.
FROM build AS venv
COPY mysite/requirements.txt ./
RUN --mount=type=secret,id=ca --mount=type=cache,target=/root/.cache \
    if [ -s /run/secrets/ca ]; then export SSL_CERT_FILE=/run/secrets/ca; fi; \
    uv venv --quiet --python /usr/bin/python3 /venv; \
    uv pip install --quiet --python /venv --require-hashes --requirement requirements.txt
COPY --from=uwsgi /build/dist/*.whl ./
# unchecked-hash: the compiled files stay valid, whatever the modification times.
RUN uv pip install --quiet --python /venv --no-index ./*.whl; \
    ln --symbolic pyuwsgi /venv/bin/uwsgi; \
    rm --force /venv/.lock; \
    /venv/bin/python3 -m compileall -q -j0 --invalidation-mode=unchecked-hash /venv/lib


# The site, and the static files of all its apps, compressed, under names that contain their hash.
# After a change in mysite/, only this is built again.
FROM venv AS site
WORKDIR /app
COPY uwsgi/ /uwsgi/
COPY stack/ /opt/stack/
COPY mysite/ ./
RUN [ ! -e stack ] || { echo 'mysite/ has a package with the name "stack", which is taken: rename it.' >&2; exit 1; }
ARG SITE_SETTINGS
ENV PYTHONPATH=/app:/opt
RUN DJANGO_SETTINGS_MODULE=stack.build_settings /venv/bin/python3 -m django collectstatic --no-input --verbosity 0; \
    /usr/bin/python3 -m stack.compress /collected; \
    /venv/bin/python3 -m compileall -q --invalidation-mode=unchecked-hash /app /opt/stack; \
    # Readable by the site, writable only by root, whatever umask the clone was made with.
    chmod --recursive u=rwX,go=rX /app /uwsgi /opt/stack /collected; \
    chmod 755 /opt/stack/__main__.py


FROM base
ARG APP_UID SITE_GID SITE_SETTINGS
# A new volume takes owner and mode from its directory here. Everything else belongs to root: the site
# can change its data, not its code.
RUN groupadd --gid "$SITE_GID" site; \
    useradd --uid "$APP_UID" --gid site --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin app; \
    install --directory --owner=app --group=site --mode=2750 \
        /srv/static /srv/media /srv/media/public /srv/media/private /srv/media/tmp; \
    install --directory --owner=app --group=site --mode=700 /srv/data
# UTF-8 for file names, so that uploads like café.txt work however Python is started.
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app:/opt PYTHONUNBUFFERED=1 LANG=C.UTF-8
# The stack's settings, which build on the site's.
ENV DJANGO_SETTINGS_MODULE=stack.settings SITE_SETTINGS=$SITE_SETTINGS
COPY --chmod=755 log/log-relay /usr/local/bin/
COPY --from=venv /venv /venv
COPY --from=site /uwsgi /uwsgi
COPY --from=site /opt/stack /opt/stack
COPY --from=site /collected /collected
COPY --from=site /app /app
RUN ln --symbolic /opt/stack/__main__.py /usr/local/bin/stack
LABEL stack.command=stack
# A missing shared library is noticed here, not at the first start.
RUN uwsgi --version
WORKDIR /app
USER $APP_UID:$SITE_GID
CMD ["log-relay", "uwsgi", "--ini", "/uwsgi/mysite.ini"]
