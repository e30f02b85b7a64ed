"""A site: an nginx service, an app service, the link between them, and a visitor."""

from collections.abc import Mapping
from functools import cached_property

from whichhop.target.app_service import AppService
from whichhop.target.declaration import Declaration
from whichhop.target.link import Link
from whichhop.target.nginx_service import NginxService
from whichhop.target.service import Service
from whichhop.target.stack import Stack
from whichhop.target.visitor import Visitor


class Site:
    """
    One site of a project, which the hops check; each part is looked up once.

    ``init`` is the job that the app waits for, if there is one; ``number`` is the index of the server block
    among nginx's server blocks that pass requests on.
    """

    def __init__(
        self, nginx: NginxService, app: str, init: str = "", number: int = 0, name: str = ""
    ) -> None:
        self.stack: Stack = nginx.stack
        self.name = name  # its host, if nginx serves several sites
        self.is_first = number == 0  # reports what concerns all sites of a project
        self.declaration = Declaration.of(self.stack.definition)
        self.init = Service(self.stack, init) if init else None
        self.nginx = nginx
        self.app = AppService(
            self.stack, app, lambda: self.link.address, lambda: self.visitor.named_host
        )
        self.link = Link(nginx, self.app, number)
        self.visitor = Visitor(nginx, self.app, self.link, self.declaration)

    def service(self, name: str) -> Service:
        """Return any service of the project."""
        return {self.nginx.name: self.nginx, self.app.name: self.app}.get(
            name, Service(self.stack, name)
        )

    @property
    def services(self) -> set[str]:
        """The names of its services: nginx, the app and init."""
        return {str(service) for service in (self.nginx, self.app, self.init) if service}

    @property
    def init_failed(self) -> bool:
        """Whether init failed at the last start, so that the app was not started."""
        if not self.init:
            return False
        init = self.init.state
        failed = init.status == "exited" and init.exit_code != 0
        return failed and init.started > self.app.state.started

    # -- its values and fixes for causes: ``whichhop.finding.Subject``

    @cached_property
    def words(self) -> Mapping[str, object]:
        """The names of its services, and this project's commands to migrate and to collect static files."""
        vassal = self.app.vassal
        manage = f"docker compose exec {self.app} python3 manage.py"
        names = {
            "nginx": self.nginx.name,
            "app": self.app.name,
            "init": self.init.name if self.init else "",
            "vassal": vassal.name if vassal else "",
        }
        general = {
            "ini": vassal.file if vassal else "uWSGI's ini file",
            "publish": f"touch {vassal.file}" if vassal else "",
            "migrate": f"{manage} migrate",
            "collect": f"{manage} collectstatic --no-input",
            "recollect": f"{manage} collectstatic --no-input --clear",
        }
        declared = {name: text.format(**names) for name, text in self.declaration.words.items()}
        return {**names, **general, **declared}

    @property
    def fixes(self) -> Mapping[str, str]:
        """The fixes that the project declares, by cause."""
        return self.declaration.fixes
