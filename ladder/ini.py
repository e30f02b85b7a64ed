"""What uwsgi/mysite.ini adds to the tutorial's ini file: a diff, with the reasons from the file's comments."""

from pathlib import Path

TUTORIAL = Path("ladder/uwsgi/mysite_uwsgi.ini")
OURS = Path("uwsgi/mysite.ini")
SAME = {"home": "virtualenv"}  # two names of the same option


def options(path: Path) -> dict[str, str]:
    """Return the options of an ini file that sets each only once, by the names that ours uses."""
    pairs = (line.split("=", 1) for line in path.read_text().splitlines() if line[:1] not in ";[")
    found = {name.strip(): value.strip() for name, value in (pair for pair in pairs if pair[1:])}
    return {SAME.get(name, name): value for name, value in found.items()}


def block() -> str:
    """Return uwsgi/mysite.ini for README.md: "+" marks what is new, "-" what rung 7 has instead."""
    tutorial = options(TUTORIAL)
    lines = []
    for line in OURS.read_text().splitlines():
        name, sign, value = (part.strip() for part in line.partition("="))
        if line.startswith((";", "[")) or not sign:
            lines.append(f"  {line}")
        elif tutorial.get(name) == value:
            lines.append(f"  {line}")
            del tutorial[name]
        else:
            if name in tutorial:
                lines.append(f"- {name} = {tutorial.pop(name)}")
            lines.append(f"+ {line}")
    lines += [f"- {name} = {value}" for name, value in tutorial.items()]
    return "```diff\n" + "\n".join(line.rstrip() for line in lines) + "\n```"
