"""What files take from elsewhere by a name that can be given to something else tomorrow.

A tag, a branch and a bare version are such names; a digest, a commit and a hash are not. Each
finding is one sentence that says what is named and how.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_ACTION = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}\s+#\s*v\d+\.\d+\.\d+")
_LOOPBACK = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])[:/]")
_FILLED_IN = re.compile(r"\$[({\w]|\{\{")
_CHECKED = re.compile(r"sha256sum\s+(.*\s)?(-c|--check)\b")
_PIP = re.compile(r"\bpip3?\b(?:(?!\buninstall\b).)*?\s(?:install|wheel|download)\s")
_INSTALLERS = re.compile(
    r"\b(npm\s+(i|install|add|exec)|npx|yarn\s+(add|dlx)|pnpm\s+(add|dlx)|pipx|uvx|uv\s+(tool|add)|"
    r"go\s+(install|run\s+\S+@)|cargo\s+install|gem\s+install|gcloud\s+components\s+(install|update)|"
    r"helm\s+(repo\s+add|install|pull)|brew\s+install|snap\s+install)\b"
)
_FOREIGN_PACKAGES = re.compile(
    r"add-apt-repository|apt-key|sources\.list|trusted=yes|allow-unauthenticated|allow-insecure|"
    r"--force-yes|\bdpkg\s+(-i|--install)|\bapt(-get)?\s.*install\s.*(https?:|\.deb\b)"
)


def unpinned(path: str, text: str) -> list[str]:
    """What a file names by tag, branch or version.

    Args:
        path: Relative to the repository's root; decides how the text is read.
        text: The file's content.
    """
    name = Path(path).name
    if re.match(r"(.*\.)?Dockerfile(\..*)?$|Containerfile", name):
        return list(_dockerfile(text))
    if name.endswith((".yaml", ".yml")):
        return [
            *_actions(text),
            *(found for one in yaml.safe_load_all(text) for found in _yaml(one, "", text)),
        ]
    if name.endswith(".tf"):
        return list(_terraform(text))
    return list(_shell(text))


def _dockerfile(text: str) -> Iterator[str]:
    stages: set[str] = {"scratch"}
    for syntax in re.findall(r"^#\s*syntax\s*=\s*(\S+)", text, re.MULTILINE):
        yield from _image(syntax)
    for line in _commands(text):
        word, _, rest = line.strip().partition(" ")
        sources = re.findall(r"(?:--from=|\bfrom=)([^\s,]+)", rest) if word.upper() in ("COPY", "RUN") else []
        if word.upper() == "FROM":
            image, *stage = [part for part in rest.split() if not part.startswith("--")]
            sources = [image]
            stages.update(stage[1:])
        for source in sources:
            if source not in stages and not source.isdigit():
                yield from _image(source)
        if word.upper() == "ADD" and "://" in rest and "--checksum=sha256:" not in rest:
            yield f"ADD without --checksum: {rest}"
        if word.upper() == "RUN":
            yield from _shell(rest)


def _image(reference: str) -> Iterator[str]:
    if not DIGEST.search(reference):
        yield f"image without a digest: {reference}"


def _actions(text: str) -> Iterator[str]:
    for line in re.findall(r"^\s*(?:-\s*)?[\"']?uses[\"']?\s*:\s*(.+?)\s*$", text, re.MULTILINE):
        used = line.replace('"', "").replace("'", "")
        if used.startswith("docker://"):
            yield from _image(used)
        elif not used.startswith("./") and not _ACTION.fullmatch(used):
            yield f"action without a commit and its version: {used}"


def _yaml(value: Any, key: str, text: str) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            if key == "steps" and isinstance(item, dict) and not {"run", "uses"} & set(item):
                yield from _image(str(item.get("name", "")))
            yield from _yaml(item, key, text)
        if key in ("args", "command") and all(isinstance(item, str) for item in value):
            yield from _shell(" ".join(value))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _yaml(item, str(name), text)
    elif isinstance(value, str):
        if key in ("image", "container") and not _FILLED_IN.search(value):
            yield from _image(value)
        if key in ("run", "script", "args", "command"):
            yield from _shell(value, text)


def _terraform(text: str) -> Iterator[str]:
    for literal in re.findall(r'"([^"\n]*)"', text):
        if re.match(r"[\w.-]*(docker\.pkg\.dev|gcr\.io|docker\.io|ghcr\.io|quay\.io)/", literal):
            yield from _image(literal)
    for block in re.findall(r'^module\s+"\w+"\s*\{\n(.*?)^\}', text, re.MULTILINE | re.DOTALL):
        source = re.search(r'^\s*source\s*=\s*"([^"]*)"', block, re.MULTILINE)
        if source and not re.match(r"\.{1,2}/|.*\?ref=[0-9a-f]{40}$", source[1]):
            yield f"module without a commit: {source[1]}"
    for provider in re.findall(r"=\s*\{([^{}]*\bsource\s*=[^{}]*)\}", text):
        if not re.search(r'\bversion\s*=\s*"=?\s*\d+\.\d+\.\d+"', provider):
            yield f"provider without an exact version: {' '.join(provider.split())}"


def _commands(text: str) -> list[str]:
    """Lines of a script, continuations joined, without comments."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return [line for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines() if line.strip()]


def _shell(script: str, file: str = "") -> Iterator[str]:
    """What a script installs, downloads or starts.

    Args:
        script: Its text.
        file: The whole file that it stands in, which may build the images that it starts.
    """
    lines = _commands(script)
    built = set(re.findall(r"docker\s+build\b.*?\s(?:-t|--tag)[ =]\"?([^\s\"]+)", f"{file}\n{script}"))
    for index, line in enumerate(lines):
        for command in re.split(r"&&|\|\||;", line):
            if _FOREIGN_PACKAGES.search(command) or _INSTALLERS.search(command):
                yield f"installed from where nobody vouches for it: {command.strip()}"
            if _PIP.search(command) and not _hashed(command):
                yield f"pip without hashes: {command.strip()}"
            if re.search(r"\bdocker\s+(run|pull|create)\b", command):
                words = [word.strip("\"'") for word in command.split()]
                if not any(DIGEST.search(word) or word in built for word in words):
                    yield f"image without a digest: {command.strip()}"
        follows = "\n".join(lines[index : index + 4])
        if re.search(r"\bgit\s+clone\b", line) and not re.search(r"\b[0-9a-f]{40}\b", follows):
            yield f"clone without a commit: {line.strip()}"
        if re.search(r"(^|[\s(;&|@])(curl|wget)\s", line) and not _LOOPBACK.search(line):
            piped = re.search(r"\b(curl|wget)\s[^;&]*\|\s*(?!sha256sum)\w", line)
            if piped or not _CHECKED.search(follows):
                yield f"download without a hash: {line.strip()}"


def _hashed(command: str) -> bool:
    if re.search(r"--(require-hashes|no-index)\b", command):
        return True
    words = _PIP.split(command, maxsplit=1)[1].split()
    takes = [word.strip("\"'") for word in words if not word.startswith("-")]
    return "--no-deps" in words and all(word.startswith((".", "/")) for word in takes)
