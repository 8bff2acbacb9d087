"""Baton's own paths, which the official client has no methods for."""

import urllib.request

import openai

# Longest silence of an event stream.
QUIET_SECONDS = 60


def get(client: openai.OpenAI, path: str) -> dict:
    """The JSON document behind a path such as `/runs`."""
    return client.get(path, cast_to=object)


def run_ids(client: openai.OpenAI) -> set[str]:
    """The newest runs."""
    return {run["id"] for run in get(client, "/runs?limit=100")["data"]}


def ended(client: openai.OpenAI, run: str) -> dict:
    """The report of a run once it has ended, which its events tell."""
    request = urllib.request.Request(
        f"{client.base_url}runs/{run}/events",
        headers={"Authorization": f"Bearer {client.api_key}"},
    )
    with urllib.request.urlopen(request, timeout=QUIET_SECONDS) as events:
        for line in events:
            if line.strip() == b"event: end":
                break
    return get(client, f"/runs/{run}")
