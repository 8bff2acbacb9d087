"""Three steps as a LangGraph graph, checkpointed in SQLite, over HTTP.

Each step calls the model at MODEL_URL once and sees what the steps before it said.
Every checkpoint is committed before the next step begins (durability "sync"); SQLite
writes ahead and syncs its log at each commit (journal_mode WAL, synchronous FULL).
"""

import contextlib
import os
import uuid
from typing import TypedDict

import httpx
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

STEPS = ("plan", "execute", "verify")
MODEL_URL = os.environ["MODEL_URL"] + "/chat/completions"


class State(TypedDict, total=False):
    question: str
    plan: str
    execute: str
    verify: str


def step(name, client):
    seen = STEPS[: STEPS.index(name)]

    async def call(state):
        said = [state["question"], *(state[earlier] for earlier in seen), f"Your part: {name}."]
        messages = [{"role": "user", "content": "\n\n".join(said)}]
        reply = await client.post(MODEL_URL, json={"model": "sim-null", "messages": messages})
        reply.raise_for_status()
        return {name: reply.json()["choices"][0]["message"]["content"]}

    return call


@contextlib.asynccontextmanager
async def lifespan(app):
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=256)
    async with (
        httpx.AsyncClient(limits=limits, timeout=60) as client,
        AsyncSqliteSaver.from_conn_string(os.environ["DATABASE"]) as saver,
    ):
        await saver.setup()
        await saver.conn.execute("PRAGMA synchronous=FULL")
        graph = StateGraph(State)
        for name, after in zip(STEPS, (START, *STEPS)):
            # A node may not be named as a key of the state.
            graph.add_node(f"{name}_step", step(name, client))
            graph.add_edge(after if after == START else f"{after}_step", f"{name}_step")
        graph.add_edge(f"{STEPS[-1]}_step", END)
        app.state.graph = graph.compile(checkpointer=saver)
        yield


async def run(request):
    question = (await request.json())["question"]
    config = {"configurable": {"thread_id": str(uuid.uuid4())}}
    state = await request.app.state.graph.ainvoke(
        {"question": question}, config, durability="sync"
    )
    return JSONResponse({"answer": state["verify"]})


app = Starlette(routes=[Route("/run", run, methods=["POST"])], lifespan=lifespan)
