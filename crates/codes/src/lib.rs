//! The names of everything that can go wrong, each with its page.
//!
//! A name is stable: clients, dashboards and people rely on it. To add one, add a line to
//! its list below and write `docs/errors/NAME.md`; without the page nothing compiles, and
//! a test refuses pages of names that are in no list. Two lists may hold the same name:
//! then they share its page.

#[cfg(test)]
mod tests;

/// Where a name is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// `error.code` of a reply of the HTTP API.
    Api,
    /// `failure` of a step, a plan or a check in a run's report.
    Failure,
    /// `reason.code` of a run that has ended.
    End,
    /// What a command of `baton` says on stderr before anything was done.
    Start,
    /// The exit code of a command.
    Exit,
}

impl Place {
    /// All places, as they are listed.
    pub const ALL: &'static [Self] =
        &[Self::Api, Self::Failure, Self::End, Self::Start, Self::Exit];

    /// In words.
    pub fn title(self) -> &'static str {
        match self {
            Self::Api => "errors of the HTTP API",
            Self::Failure => "failures of steps, plans and checks",
            Self::End => "reasons why a run ended",
            Self::Start => "errors of commands",
            Self::Exit => "exit codes",
        }
    }
}

/// A name with its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The stable name.
    pub name: &'static str,
    /// Where it is met.
    pub place: Place,
    /// What it means, why it happens, what to do, an example: Markdown.
    pub page: &'static str,
}

impl Entry {
    /// What it means, in one line: the first text below the page's title.
    pub fn summary(&self) -> &'static str {
        let mut lines = self.page.lines().skip(1).filter(|line| !line.trim().is_empty());
        lines.next().unwrap_or_default()
    }
}

macro_rules! codes {
    ($(#[$about:meta])* $name:ident, $place:ident { $($variant:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The one of this name.
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == name)
            }

            /// It with its page.
            pub const fn entry(self) -> Entry {
                let page = match self {
                    $(Self::$variant => include_str!(
                        concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors/", $text, ".md")
                    ),)*
                };
                Entry { name: self.as_str(), place: Place::$place, page }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, name: &&str) -> bool {
                self.as_str() == *name
            }
        }

        impl From<$name> for String {
            fn from(code: $name) -> Self {
                code.as_str().to_owned()
            }
        }
    };
}

codes! {
    /// What the HTTP API answers instead of what it was asked for.
    ApiCode, Api {
        AgentFailed = "agent_failed",
        BodyTimeout = "body_timeout",
        BodyTooLarge = "body_too_large",
        BreakerOpen = "breaker_open",
        BudgetExceeded = "budget_exceeded",
        BudgetTooSmall = "budget_too_small",
        Conflict = "conflict",
        DeadlineExceeded = "deadline_exceeded",
        EmptyMessages = "empty_messages",
        Forbidden = "forbidden",
        GatewayFull = "gateway_full",
        IdempotencyKeyReused = "idempotency_key_reused",
        ImagesNotSupported = "images_not_supported",
        InternalError = "internal_error",
        InvalidApiKey = "invalid_api_key",
        InvalidBudget = "invalid_budget",
        InvalidJson = "invalid_json",
        InvalidMessages = "invalid_messages",
        InvalidRequest = "invalid_request",
        InvalidRounds = "invalid_rounds",
        InvalidStrategy = "invalid_strategy",
        InvalidTenant = "invalid_tenant",
        InvalidUtf8 = "invalid_utf8",
        InvalidValue = "invalid_value",
        JournalUnreadable = "journal_unreadable",
        LedgerUnavailable = "ledger_unavailable",
        MethodNotAllowed = "method_not_allowed",
        ModelNotFound = "model_not_found",
        NoAgentLeft = "no_agent_left",
        NoJudge = "no_judge",
        NotFound = "not_found",
        OperatorOnly = "operator_only",
        PlanInvalid = "plan_invalid",
        PolicyUnavailable = "policy_unavailable",
        ProviderAuth = "provider_auth",
        ProviderConnect = "provider_connect",
        ProviderCutStream = "provider_cut_stream",
        ProviderEmpty = "provider_empty",
        ProviderMalformed = "provider_malformed",
        ProviderPaused = "provider_paused",
        ProviderRateLimited = "provider_rate_limited",
        ProviderRefused = "provider_refused",
        ProviderServerError = "provider_server_error",
        ProviderTimeoutBetweenTokens = "provider_timeout_between_tokens",
        ProviderTimeoutConnect = "provider_timeout_connect",
        ProviderTimeoutFirstToken = "provider_timeout_first_token",
        ProviderTimeoutTotal = "provider_timeout_total",
        QueueFull = "queue_full",
        QuotaSpent = "quota_spent",
        RateLimitExceeded = "rate_limit_exceeded",
        RunCancelled = "run_cancelled",
        RunFailed = "run_failed",
        RunNotFound = "run_not_found",
        StorageFull = "storage_full",
        StreamInterrupted = "stream_interrupted",
        StructuredOutputNotSupported = "structured_output_not_supported",
        TooManyCalls = "too_many_calls",
        ToolsNotSupported = "tools_not_supported",
        Unavailable = "unavailable",
        UnknownAgent = "unknown_agent",
        UnknownParameter = "unknown_parameter",
        UnknownUrl = "unknown_url",
        UnsupportedParameter = "unsupported_parameter",
    }
}

codes! {
    /// Why a task has no result. Says nothing about the question, the plan or the answer.
    FailureCode, Failure {
        AgentRemoved = "agent_removed",
        AgentsRemoved = "agents_removed",
        Auth = "auth",
        BreakerOpen = "breaker_open",
        BudgetSpent = "budget_spent",
        Connect = "connect",
        CutStream = "cut_stream",
        Empty = "empty",
        Filtered = "filtered",
        Lost = "lost",
        Malformed = "malformed",
        NoPolicy = "no_policy",
        NoText = "no_text",
        Protocol = "protocol",
        ProviderPaused = "provider_paused",
        QuotaSpent = "quota_spent",
        RateLimited = "rate_limited",
        Refused = "refused",
        SandboxUnavailable = "sandbox_unavailable",
        ServerError = "server_error",
        Stopped = "stopped",
        TimeoutBetweenTokens = "timeout_between_tokens",
        TimeoutConnect = "timeout_connect",
        TimeoutFirstToken = "timeout_first_token",
        TimeoutTotal = "timeout_total",
        TooManyCalls = "too_many_calls",
        UnknownAgent = "unknown_agent",
        UnknownProvider = "unknown_provider",
        Unreadable = "unreadable",
    }
}

codes! {
    /// Why a run ended where it did.
    EndCode, End {
        Accepted = "accepted",
        BudgetSpent = "budget_spent",
        Cancelled = "cancelled",
        DeadlinePassed = "deadline_passed",
        FellShort = "fell_short",
        Loop = "loop",
        NoProgress = "no_progress",
        NotAccepted = "not_accepted",
        NotWorthIt = "not_worth_it",
        Stands = "stands",
        StepFailed = "step_failed",
        ToolCalls = "tool_calls",
        Unanswered = "unanswered",
        Unchecked = "unchecked",
    }
}

codes! {
    /// Why a command did not begin what it was asked.
    StartCode, Start {
        AddressInUse = "address_in_use",
        CannotListen = "cannot_listen",
        ConfigConflict = "config_conflict",
        ConfigInvalid = "config_invalid",
        ConfigUnreadable = "config_unreadable",
        DataFolder = "data_folder",
        EndpointUnreachable = "endpoint_unreachable",
        Exposed = "exposed",
        KeyUnreadable = "key_unreadable",
        LedgerUnusable = "ledger_unusable",
        ProfileInvalid = "profile_invalid",
        ProviderUnusable = "provider_unusable",
        RegistryUnavailable = "registry_unavailable",
        RegistryUnusable = "registry_unusable",
    }
}

codes! {
    /// How a command ends when it has not done all that it was asked.
    ExitCode, Exit {
        Error = "exit_error",
        Usage = "exit_usage",
        NoAnswer = "exit_no_answer",
        Auth = "exit_auth",
        Incomplete = "exit_incomplete",
        Warnings = "exit_warnings",
        Interrupted = "exit_interrupted",
    }
}

impl ApiCode {
    /// What the caller of a single agent is told of its provider's failure, named as in a
    /// run.
    pub fn of_provider(failure: &str) -> Self {
        Self::parse(&format!("provider_{failure}")).unwrap_or(Self::AgentFailed)
    }
}

impl ExitCode {
    /// What the shell sees.
    pub const fn number(self) -> u8 {
        match self {
            Self::Error => 1,
            Self::Usage => 2,
            Self::NoAnswer => 3,
            Self::Auth => 4,
            Self::Incomplete => 5,
            Self::Warnings => 6,
            Self::Interrupted => 130,
        }
    }
}

/// Every name at every place where it is met, place by place.
pub fn all() -> impl Iterator<Item = Entry> {
    let api = ApiCode::ALL.iter().map(|code| code.entry());
    let failures = FailureCode::ALL.iter().map(|code| code.entry());
    let ends = EndCode::ALL.iter().map(|code| code.entry());
    let starts = StartCode::ALL.iter().map(|code| code.entry());
    let exits = ExitCode::ALL.iter().map(|code| code.entry());
    api.chain(failures).chain(ends).chain(starts).chain(exits)
}

/// The entry that `asked` names: a name, or the number of an exit code.
pub fn find(asked: &str) -> Option<Entry> {
    let number = asked.parse::<u8>().ok();
    let exit = ExitCode::ALL.iter().find(|exit| Some(exit.number()) == number);
    exit.map(|exit| exit.entry()).or_else(|| all().find(|entry| entry.name == asked))
}
