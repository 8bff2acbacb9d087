"""Clusters that tests share, and the official client for them."""

import openai
import pytest

from cluster import baton_up

# Simulated models at a fifth of their speed: an answer takes seconds, long enough to leave
# it or to lose patience.
SLOW = 5


@pytest.fixture(scope="session")
def quick():
    """A cluster whose simulated models answer at once."""
    with baton_up("--simulated", "--sim-time-scale", "0") as url:
        yield url


@pytest.fixture(scope="session")
def slow():
    """A cluster whose simulated models take seconds."""
    with baton_up("--simulated", "--sim-time-scale", str(SLOW)) as url:
        yield url


@pytest.fixture
def client(quick):
    """The official client, on the quick cluster."""
    with openai.OpenAI(base_url=quick, api_key="none", max_retries=0) as client:
        yield client
