"""Causes that more than one hop can name."""

from whichhop.finding import Cause, Causes, by_hand, command, config

CAUSES = Causes(
    {
        "nginx-temp-unwritable": Cause(
            "nginx",
            "small requests work; uploads get 500",
            "nginx's workers ({identity}) may not write to {path}, where large bodies wait.",
            by_hand(
                "give it to them; if it is a volume, remove that so that it is made anew with the right owner:"
                " docker compose down; docker volume rm {volume}; docker compose up --wait"
            ),
        ),
        "static-manifest-entry-missing": Cause(
            "static",
            "500 on pages with {% static %}, only without DEBUG",
            "{error} ({place}): the manifest that the app has does not know the file.",
            command(
                "{collect}, with the app's own STATIC_ROOT; or correct the name in the template"
            ),
        ),
        "socket-queue-full": Cause(
            "socket",
            "502 or 503 at once under load; nginx logs (11: Resource temporarily unavailable)",
            "The queue of {path} is full: nobody takes the connections that wait there.",
            by_hand(
                "find what keeps the workers busy (the hop uwsgi); then raise the number of workers"
            ),
        ),
        "upstream-queue-full": Cause(
            "socket",
            "pages take 1, 3, 7 seconds, then 504 while connecting",
            "The listen queue of {address} is full: nobody takes the connections that wait there.",
            by_hand(
                "find what keeps the workers busy (the hop uwsgi); then raise the number of workers"
            ),
        ),
        "disk-full": Cause(
            "database",
            "500 whenever something is saved",
            "There is no room left where {path} is.",
            by_hand(
                "docker system df; rotate the containers' logs (logging: max-size), and make room; df -i tells whether there are too many files"
            ),
        ),
        "database-refused": Cause(
            "database",
            "500 on every page, or the app ends at its start",
            "Nobody listens at {where}: {error}",
            config(
                "start the database, and let {app} wait for it: depends_on with condition: service_healthy"
            ),
        ),
        "database-host-unknown": Cause(
            "database",
            "500 on every page, or the app ends at its start",
            "There is no host {host} in the network of {app}: {error}",
            config(
                "HOST in DATABASES is the name of the service (localhost is {app} itself); both in one network"
            ),
        ),
        "database-password-refused": Cause(
            "database",
            "500 on every page, or the app ends at its start",
            "The database refuses the user or the password: {error}",
            by_hand(
                "the volume keeps the password of its first start: change it in the database, ALTER ROLE"
            ),
        ),
    }
)
