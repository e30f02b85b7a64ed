"""The doctor reads nginx's configuration, as `nginx -T` prints it, as nginx does."""

import pytest
from whichhop.target import nginx_config, upstream
from whichhop.target.nginx_config import Directive, Listen


def parse(text: str, **others: str) -> Directive:
    """Return the tree of a main file, and of the files that it may include (names without .conf)."""
    files = {"nginx": text, **others}
    return nginx_config.parse(
        "nginx: the configuration file /etc/nginx/nginx.conf syntax is ok\n"
        + "".join(
            f"# configuration file /etc/nginx/{name}.conf:\n{content}\n"
            for name, content in files.items()
        )
    )


def server(text: str) -> Directive:
    """Return the first server block of a text that stands in the http block."""
    return nginx_config.servers(parse(f"http {{ {text} }}"))[0]


# -- the tree


def test_words_are_read_with_their_quotes_escapes_and_comments() -> None:
    root = parse('log_format a "x;{ \\" }" \'y # z\'; # not this; {\nserver_name ~^a\\{2\\}$;')
    assert [directive.words for directive in root.block] == [
        ["log_format", "a", 'x;{ \\" }', "y # z"],
        ["server_name", "~^a\\{2\\}$"],
    ]


def test_a_variable_in_braces_is_one_word() -> None:
    assert parse("set $a ${b}c;").block[0].words == ["set", "$a", "${b}c"]


def test_a_directive_knows_its_file_and_line() -> None:
    root = parse("http {\n  include site.conf;\n}", site="\nserver {\n  listen 80;\n}")
    (listen,) = root.find("listen")
    assert listen.place == "/etc/nginx/site.conf:3"


@pytest.mark.parametrize("pattern", ["/etc/nginx/s*.conf", "s*.conf", "site?.conf"])
def test_includes_stand_in_their_places_in_the_order_of_their_names(pattern: str) -> None:
    root = parse(f"a; include {pattern}; d;", site2="c;", site1="b;", other="x;")
    assert [str(directive) for directive in root.block] == ["a", "b", "c", "d"]


def test_a_setting_is_inherited_from_the_nearest_block_around() -> None:
    root = parse("http { root /a; server { location /x { root /b; } location /y { } } }")
    x, y = root.find("location")
    assert [str(place.get("root")) for place in (x, y)] == ["root /b", "root /a"]
    assert y.get("alias") is None


def test_output_without_a_configuration_is_an_error() -> None:
    with pytest.raises(ValueError, match="no configuration"):
        nginx_config.parse('nginx: [emerg] unknown directive "sendfiles"')


# -- what nginx makes of it


@pytest.mark.parametrize(
    ("uri", "chosen"),
    [
        ("/", "location /"),
        ("/static/a.css", "location ^~ /static/"),  # in spite of the regex
        ("/media/a.css", "location ~ \\.css$"),  # in spite of the longer prefix
        ("/media/a.txt", "location /media/"),
        ("/exact", "location = /exact"),
        ("/exactly", "location /"),
        ("/A.PNG", "location ~* \\.png$"),
    ],
)
def test_a_location_is_chosen_as_nginx_chooses_it(uri: str, chosen: str) -> None:
    block = server(
        "server { location / { } location = /exact { } location ^~ /static/ { } location /media/ { }"
        " location ~ \\.css$ { } location ~* \\.png$ { } }"
    )
    assert str(nginx_config.location(block, uri)) == chosen


def test_a_location_within_a_location_is_found() -> None:
    block = server("server { location /a/ { location /a/b/ { root /x; } } }")
    assert str(nginx_config.location(block, "/a/b/c")) == "location /a/b/"
    assert nginx_config.location(block, "/c") is None


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("exact.example", "exact.example"),
        ("www.exact.example", "*.exact.example"),
        ("mail.other", "mail.*"),
        ("a7.example", "~^a\\d"),
        ("nobody.example", "default"),
    ],
)
def test_a_server_is_chosen_as_nginx_chooses_it(host: str, name: str) -> None:
    config = parse(
        "http { server { listen 80; server_name first; }"
        " server { listen 80 default_server; server_name default; }"
        " server { listen 80; server_name ~^a\\d; } server { listen 80; server_name mail.*; }"
        " server { listen 80; server_name *.exact.example; }"
        " server { listen 80; server_name exact.example; } server { listen 81; server_name other; } }"
    )
    found = nginx_config.server_for(config, 80, host)
    assert found
    assert str(found.block[1]) == f"server_name {name}"


def test_the_first_server_of_a_port_is_its_default() -> None:
    config = parse("http { server { server_name a; } server { server_name b; } }")
    found = nginx_config.server_for(config, 80, "c")
    assert found
    assert str(found.block[0]) == "server_name a"
    assert nginx_config.server_for(config, 81, "a") is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", [Listen(80, False, False)]),
        ("listen 8080;", [Listen(8080, False, False)]),
        ("listen 127.0.0.1;", [Listen(80, False, False, local=True)]),
        ("listen [::]:443 ssl default_server;", [Listen(443, True, True)]),
        ("listen 443 quic reuseport;", [Listen(443, True, False)]),
        ("listen unix:/run/x.sock;", []),
    ],
)
def test_listen_in_all_its_forms(line: str, expected: list[Listen]) -> None:
    assert nginx_config.listens(server(f"server {{ {line} location / {{ }} }}")) == expected


def test_only_plain_names_are_hosts() -> None:
    block = server("server { server_name a.example .b.example *.c.example ~^d _ [::1]; }")
    assert nginx_config.host_names(block) == ["a.example", "[::1]", "b.example"]


@pytest.mark.parametrize(
    ("inside", "path"),
    [
        ("alias /srv/static/;", "/srv/static/a.css"),
        ("alias /srv/static;", "/srv/statica.css"),  # the classic mistake
        ("root /srv;", "/srv/static/a.css"),
        ("", None),
    ],
)
def test_the_file_that_a_location_opens(inside: str, path: str | None) -> None:
    block = server(f"server {{ location /static/ {{ {inside} }} }}")
    place = nginx_config.location(block, "/static/a.css")
    assert place
    assert nginx_config.file_for(place, "/static/a.css") == path


def test_a_regular_expression_of_pcre_that_python_lacks_fits_nothing() -> None:
    block = server("server { location ~ (?<name>x) { } location ~ ^(?R)$ { } location / { } }")
    assert str(nginx_config.location(block, "/x")) == "location ~ (?<name>x)"
    assert str(nginx_config.location(block, "/y")) == "location /"


# -- where requests are passed on


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("location / { uwsgi_pass unix:/run/a.sock; }", "unix:/run/a.sock"),
        # The tutorial's spelling: three slashes are one to the kernel.
        ("location / { uwsgi_pass unix:///run/a.sock; }", "unix:/run/a.sock"),
        ("location / { uwsgi_pass app:8001; }", "app:8001"),
        ("location / { uwsgi_pass uwsgi://app:8001; }", "app:8001"),
        ("location / { uwsgi_pass [::1]:8001; }", "::1:8001"),
        ("location / { proxy_pass http://app; }", "app:80"),
        ("location / { proxy_pass http://app:8000/sub/; }", "app:8000"),
        ("location / { try_files $uri @app; } location @app { uwsgi_pass app:1; }", "app:1"),
        ("set $to app:2; location / { uwsgi_pass $to; }", "app:2"),
        ("location / { uwsgi_pass django; }", "one:1"),
    ],
)
def test_the_address_to_which_requests_are_passed(text: str, address: str) -> None:
    group = "upstream django { server down:1 down; server spare:1 backup; server one:1; }"
    config = parse(f"http {{ {group} server {{ {text} }} }}")
    (block,) = nginx_config.servers(config)
    assert str(upstream.of(block, config)) == address


def test_an_address_that_is_nowhere_set_is_said_to_be_unknown() -> None:
    config = parse("http { server { location / { uwsgi_pass $nowhere; } } }")
    with pytest.raises(LookupError, match=r"nginx\.conf:1: what \$nowhere is"):
        upstream.of(nginx_config.servers(config)[0], config)


def test_a_server_that_passes_nothing_on_is_said_to_be_one() -> None:
    config = parse("http { server { location / { root /srv; } } }")
    with pytest.raises(ValueError, match="passes requests on"):
        upstream.of(nginx_config.servers(config)[0], config)


def test_a_block_with_a_parameter_of_its_own_inherits_none() -> None:
    config = parse(
        "http { server { uwsgi_param A a; location / { uwsgi_param B b; uwsgi_pass x:1; } } }"
    )
    assert upstream.params(upstream.of(nginx_config.servers(config)[0], config)) == {"B": "b"}
