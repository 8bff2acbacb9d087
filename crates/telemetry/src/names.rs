//! Names of attributes and operations: OpenTelemetry's (GenAI v1.41, HTTP, RPC), those that
//! Langfuse and Phoenix read beside them (OpenInference), and Baton's own.

macro_rules! names {
    ($($name:ident = $value:literal, $says:literal;)*) => {
        $(#[doc = $says] pub const $name: &str = $value;)*
        /// Every attribute that a span can have, with what it says.
        pub const ALL: &[(&str, &str)] = &[$(($value, $says)),*];
    };
}

names! {
    OPERATION = "gen_ai.operation.name", "what is done: `invoke_workflow`, `plan`, `invoke_agent` or `chat`";
    CONVERSATION = "gen_ai.conversation.id", "on `invoke_workflow` and `chat`: the id of the run at the top of the tree; calls outside runs have none";
    WORKFLOW = "gen_ai.workflow.name", "the model as it was asked for, such as `baton`";
    AGENT = "gen_ai.agent.name", "the agent, the policy's agent, or the verifier";
    PROVIDER = "gen_ai.provider.name", "the provider, by its name in the configuration";
    REQUEST_MODEL = "gen_ai.request.model", "the model, by its name at the provider";
    REQUEST_STREAM = "gen_ai.request.stream", "true: every call is streamed";
    REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens", "the most tokens the call may write";
    REQUEST_TEMPERATURE = "gen_ai.request.temperature", "as asked for";
    REQUEST_TOP_P = "gen_ai.request.top_p", "as asked for";
    REQUEST_SEED = "gen_ai.request.seed", "as asked for";
    REQUEST_STOP = "gen_ai.request.stop_sequences", "as asked for";
    OUTPUT_TYPE = "gen_ai.output.type", "`text` or `json`";
    RESPONSE_MODEL = "gen_ai.response.model", "the model that answered, in the provider's words";
    RESPONSE_ID = "gen_ai.response.id", "the provider's name for the answer";
    FINISH_REASONS = "gen_ai.response.finish_reasons", "why the model stopped";
    TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk", "seconds to the first thing that came in";
    INPUT_TOKENS = "gen_ai.usage.input_tokens", "tokens read, cached ones included";
    OUTPUT_TOKENS = "gen_ai.usage.output_tokens", "tokens written, reasoning included";
    CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens", "of those read: from the provider's cache";
    CACHE_WRITE_TOKENS = "gen_ai.usage.cache_write.input_tokens", "of those read: put into the provider's cache";
    CACHE_CREATION_TOKENS = "gen_ai.usage.cache_creation.input_tokens", "the same, under its older name";
    REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens", "of those written: reasoning";
    SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions", "contents, only where asked for: the system's messages, as JSON";
    INPUT_MESSAGES = "gen_ai.input.messages", "contents, only where asked for: all other messages, as JSON";
    OUTPUT_MESSAGES = "gen_ai.output.messages", "contents, only where asked for: the reply, as JSON";
    EVALUATION = "gen_ai.evaluation.name", "on the event `gen_ai.evaluation.result`: the verifier";
    EVALUATION_SCORE = "gen_ai.evaluation.score.value", "on the event: the score, 0 to 1";
    EVALUATION_LABEL = "gen_ai.evaluation.score.label", "on the event: `pass`, `fail`, `abstain` or `unavailable`";
    EVALUATION_EXPLANATION = "gen_ai.evaluation.explanation", "on the event, contents, only where asked for: the feedback";
    KIND = "openinference.span.kind", "`CHAIN`, `AGENT`, `EVALUATOR` or `LLM`, for Phoenix and Langfuse";
    ERROR = "error.type", "what went wrong, by its stable name; for HTTP and gRPC the status";
    HTTP_METHOD = "http.request.method", "the request's method";
    HTTP_ROUTE = "http.route", "the path, with names for its variable parts";
    HTTP_STATUS = "http.response.status_code", "the answer's status";
    URL_PATH = "url.path", "the path";
    URL_SCHEME = "url.scheme", "`http`: what the gateway itself speaks";
    RPC_SYSTEM = "rpc.system.name", "`grpc`: how services call each other";
    RPC_METHOD = "rpc.method", "service and method, such as `baton.v1.Conductor/Submit`";
    RPC_STATUS = "rpc.response.status_code", "how the call ended, such as `OK` or `DEADLINE_EXCEEDED`";
    SERVER_ADDRESS = "server.address", "on `chat` and gRPC calls: the host that was called";
    SERVER_PORT = "server.port", "on `chat` and gRPC calls: its port";
    REQUEST = "baton.request", "the request's id, `req_…`";
    TENANT = "baton.tenant", "whose it is";
    RUN = "baton.run", "the run's id";
    ROOT = "baton.root", "the id of the run at the top of the tree";
    ROUND = "baton.round", "the round, from 0";
    STEP = "baton.step", "the step, from 0";
    TASK = "baton.task", "the number of the task in its run";
    ATTEMPT = "baton.attempt", "which lease of the task, from 1";
    CALL = "baton.call", "which call of its task, from 1";
    ROUNDS = "baton.rounds", "workflows that the run began";
    STATUS = "baton.status", "how the run ended: `completed`, `incomplete`, `failed` or `cancelled`";
    REASON = "baton.reason", "why the run ended, by its stable name";
    REPAIRS = "baton.plan.repairs", "how often the plan was sent back for repair";
    STEPS = "baton.plan.steps", "steps of the workflow";
    SHARED = "baton.shared", "true where another task's same call gave the reply, so that there is no call below";
    ESTIMATED = "baton.estimated", "true where the provider did not say what it used";
    LINK = "baton.link", "on links: what the other span is, `input`, `candidate`, `last_attempt`, `last_agent`, `last_turn` or `verdict`";
}

/// Values of [`OPERATION`], which are the beginnings of the spans' names too.
pub const CHAT: &str = "chat";
/// See [`CHAT`].
pub const INVOKE_AGENT: &str = "invoke_agent";
/// See [`CHAT`].
pub const INVOKE_WORKFLOW: &str = "invoke_workflow";
/// See [`CHAT`].
pub const PLAN: &str = "plan";

/// The event of a verdict.
pub const EVALUATION_RESULT: &str = "gen_ai.evaluation.result";

/// Value of [`KIND`]: a workflow, a plan.
pub const CHAIN: &str = "CHAIN";
/// Value of [`KIND`]: a step, an agent.
pub const AGENT_KIND: &str = "AGENT";
/// Value of [`KIND`]: a vote, a check.
pub const EVALUATOR: &str = "EVALUATOR";
/// Value of [`KIND`]: a call.
pub const LLM: &str = "LLM";
