"""One function per section: it runs its tool on a stack and returns the findings."""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from whichhop.target.stack import Stack

from dev.audit.result import CouldNotRun, Result
from dev.audit.stand import ADMIN

SITE = "site.example"


def _run(stack: Stack, *command: str) -> str:
    """Run a tool beside the stack; return its stdout and ignore its exit status, which most use for findings."""
    output = stack.exec("audit", "timeout", "600", *command, environment=ADMIN)
    if not output.out.strip():
        raise CouldNotRun(output.err.strip()[-2000:] or f"exit status {output.code}, and no output")
    return output.out


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise CouldNotRun(f"its output is not JSON: {text.strip()[-2000:]}") from None


def _version(stack: Stack, *command: str) -> str:
    """Return the version that a tool prints, without colours."""
    plain = re.sub(r"\x1b\[[\d;]*m", "", _run(stack, *command))
    match = re.search(r"version ([\d.]+)", plain)
    if not match:
        raise CouldNotRun(f"it does not tell its version: {plain[:500]}")
    return match[1]


# A mistake that gixy detects, in a server that no request can reach.
CANARY = "server { server_name canary; location /canary { alias /canary/; } }"


def gixy(stack: Stack) -> Result:
    """Run gixy-ng, a static analyser, on nginx's effective configuration."""
    return read_configuration(stack.run("nginx", "nginx", "-T"))


def read_configuration(dump: str) -> Result:
    """
    Return gixy's findings in the output of ``nginx -T``.

    Raise ``CouldNotRun`` if gixy did not read all of it: it skips what it cannot parse and then reports
    no findings. So it runs a second time, with a mistake at the end that it must find.
    """
    last = "    include site.conf;\n"
    if not any(
        "canary" in issue["config"] for issue in _ask_gixy(dump.replace(last, last + CANARY))
    ):
        raise CouldNotRun("it did not read all of the configuration")
    issues = _ask_gixy(dump)
    findings = {issue["plugin"]: f"{issue['severity']}: {issue['summary']}" for issue in issues}
    return Result(f"gixy-ng {metadata.version('gixy-ng')}", _count(findings), findings)


def _ask_gixy(dump: str) -> Any:
    command = Path(sys.executable).with_name("gixy")
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(dump)
        file.flush()
        said = subprocess.run(
            [command, "--format", "json", file.name], capture_output=True, text=True
        )
    if "WARNING" in said.stderr or "ERROR" in said.stderr:
        raise CouldNotRun(said.stderr.strip()[-2000:])
    return _json(said.stdout)


def deploy(stack: Stack) -> Result:
    """Run Django's ``check --deploy``; warnings fail, too."""
    said = stack.exec("app", "python3", "manage.py", "check", "--deploy", "--fail-level", "WARNING")
    version = stack.run("app", "python3", "manage.py", "version").strip()
    findings = {}
    if said.code or "no issues" not in said.out + said.err:
        for identifier, text in re.findall(r"\((\w+\.\w\d+)\) (.*)", said.err) or [
            ("check", said.err)
        ]:
            findings[identifier] = text
    return Result(f"check --deploy of Django {version}", _count(findings), findings)


def sslyze(stack: Stack) -> Result:
    """Run sslyze: does TLS match Mozilla's intermediate profile, and is the certificate trusted?"""
    authority = ("--certinfo_ca_file", "/authority/root.pem")
    profile = "--mozilla_config=intermediate"
    said = _run(stack, "sslyze", profile, *authority, SITE)
    details = _json(_run(stack, "sslyze", *authority, "--json_out=-", SITE))
    if "COMPLIANCE AGAINST" not in said:
        raise CouldNotRun(said[-2000:])
    verdict = said.partition("COMPLIANCE AGAINST")[2]
    findings = dict(re.findall(r"^ +\* (\w+): (.*)", verdict, re.MULTILINE))
    compliant = f"{SITE}:443: OK - Compliant" in verdict
    if not compliant and not findings:
        raise CouldNotRun(verdict)
    for section in re.findall(r"^ +(.*): +(VULNERABLE.*)", said, re.MULTILINE):
        findings[section[0]] = section[1]
    if not re.search(r"Supplied CA file.*OK - Certificate is trusted", said):
        findings["trust"] = "the certificate is not trusted"
    grade = "Mozilla's intermediate profile: compliant" if compliant else "not compliant"
    return Result(f"sslyze {details['sslyze_version']}", grade, findings)


def testssl(stack: Stack) -> Result:
    """Run testssl.sh: every named weakness of TLS, and SSL Labs' grade."""
    file = "/tmp/testssl.json"  # noqa: S108 # in the container
    command = f"rm -f {file}; testssl --quiet --color 0 --ip one --add-ca /authority/root.pem --jsonfile {file} {SITE} >&2; cat {file}"
    entries = _json(_run(stack, "bash", "-c", command))
    values = {entry["id"]: entry["finding"] for entry in entries}
    if "overall_grade" not in values:
        raise CouldNotRun(f"there is no grade: {values}")
    findings = {
        entry["id"]: f"{entry['severity']}: {entry['finding']}"
        for entry in entries
        if entry["severity"] not in ("OK", "INFO", "DEBUG")
    }
    name = f"testssl.sh {_version(stack, 'testssl', '--version')}"
    return Result(name, f"grade {values['overall_grade']}", findings)


def observatory(stack: Stack) -> Result:
    """Run Mozilla's HTTP Observatory: cookies, redirects and security headers."""
    # Not through its command, which uses its own list of certificate authorities.
    package = "node_modules/@mdn/mdn-http-observatory"
    said = _json(_run(stack, "bash", "-c", f"cd {package} && node src/scan.js {SITE}"))
    if "scan" not in said:
        raise CouldNotRun(str(said))
    version = _json(_run(stack, "cat", f"{package}/package.json"))["version"]
    findings = {
        name: f"{test['result']} ({test['scoreModifier']})"
        for name, test in said["tests"].items()
        if not test["pass"] or (test.get("scoreModifier") or 0) < 0
    }
    grade, score = said["scan"]["grade"], said["scan"]["score"]
    if grade != "A+":
        findings["grade"] = f"{grade}, not A+"
    passed = f"{said['scan']['testsPassed']} of {said['scan']['testsQuantity']} tests passed"
    return Result(f"HTTP observatory {version}", f"{grade}, {score} points, {passed}", findings)


def slow(stack: Stack) -> Result:
    """Run slowhttptest in all modes: does the site keep answering others?"""
    table = [["attack", "connections", "at once", "others' requests", "failed", "median", "worst"]]
    findings = {}
    names = {
        "none": "none",
        "H": "slow headers",
        "B": "slow bodies",
        "R": "ranges",
        "X": "slow reading",
    }
    site = "https://direct.example:8443/"
    for mode, attack in names.items():
        seen = _json(_run(stack, "python3", "slow.py", mode, site).splitlines()[-1])
        if mode != "none" and not seen["opened"]:
            raise CouldNotRun(f"slowhttptest -{mode} made no connection")
        if seen["failed"]:
            findings[attack] = f"{seen['failed']} of {seen['sent']} requests of others failed"
        if seen["unavailable"]:
            findings[f"{attack}, its own look"] = f"not available in {seen['unavailable']} seconds"
        times = [f"{seen[key] * 1000:.0f} ms" if seen[key] else "" for key in ("median", "worst")]
        table.append(
            [attack, *(str(seen[key]) for key in ("opened", "at once", "sent", "failed")), *times]
        )
    grade = "others were not served" if findings else "others were served all the time"
    name = f"slowhttptest {_version(stack, 'slowhttptest', '-h')}"
    return Result(name, grade, findings, table)


def lighthouse(stack: Stack) -> Result:
    """Run Lighthouse on the landing page: at least 95 in each category."""
    seen = _json(_run(stack, "node", "browser.mjs", "lighthouse"))
    low = {name: f"{score}" for name, score in seen["scores"].items() if score < 95}
    grade = ", ".join(f"{name} {score}" for name, score in seen["scores"].items())
    return Result(f"Lighthouse {seen['version']}", grade, low | seen["findings"])


def axe(stack: Stack) -> Result:
    """Run axe: are the pages accessible, those of the admin and the error pages included?"""
    seen = _json(_run(stack, "node", "browser.mjs", "axe"))
    grade = f"{_count(seen['findings'])} on {len(seen['pages'])} pages"
    return Result(f"axe-core {seen['version']}", grade, seen["findings"])


def visits(stack: Stack) -> Result:
    """Measure first and second visits, with a plain nginx and with ours; this gives no verdict."""
    seen = _json(_run(stack, "node", "browser.mjs", "visits"))
    plain, ours = (seen["result"][f"http://{host}.example"] for host in ("plain", "site"))
    table = [["", "plain: requests", "bytes", "ours: requests", "bytes"]]
    for name in ours:
        cells = [f"{side[name][key]:,}" for side in (plain, ours) for key in ("requests", "bytes")]
        table.append([name, *cells])
    return Result("Chromium " + seen["version"].partition("/")[2], "measured", {}, table)


def _count(findings: dict[str, str]) -> str:
    return {0: "no findings", 1: "1 finding"}.get(len(findings), f"{len(findings)} findings")


class Section(NamedTuple):
    """A tool and the variants of the stack that it audits."""

    run: Callable[[Stack], Result]
    variants: tuple[str, ...]


SECTIONS = {
    "gixy": Section(gixy, ("http", "https", "http3")),
    "deploy": Section(deploy, ("http", "https")),
    "sslyze": Section(sslyze, ("https",)),
    "testssl": Section(testssl, ("https",)),
    "observatory": Section(observatory, ("https",)),
    "lighthouse": Section(lighthouse, ("https",)),
    "axe": Section(axe, ("https",)),
    "slow": Section(slow, ("https",)),
    "visits": Section(visits, ("http",)),
}
