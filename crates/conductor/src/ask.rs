//! A request, resolved against the configuration: what it may use, spend and run.

use crate::{
    call_ids,
    decide::encode,
    effort::Effort,
    plan::{policy, stored},
};
use baton_checks::Check as Stated;
use baton_codes::ApiCode;
use baton_engine::{AgentTerms, Check, Planning, RunSpec};
use baton_ledger::{Body, Bytes};
use baton_planner::Strategy;
use baton_proto::{status, v1};
use baton_registry::{PolicySettings, Settings, StrategySettings};
use baton_workflow::{
    AgentCard, AgentId, Budget, Conversation, Limits, Message, Pool, TenantId, Usd, Workflow,
};
use serde::{Deserialize, Serialize};
use tonic::{Code, Status};

/// Rounds of `baton-ultra`, unless the request says otherwise.
const ULTRA_ROUNDS: u16 = 3;
/// Most rounds that a request may ask for.
const ROUNDS_MAX: u16 = 8;
/// Characters of the question shown in lists of runs.
const TITLE_CHARS_MAX: usize = 80;

/// A request that can be carried out.
pub(crate) struct Ask {
    pub(crate) tenant: TenantId,
    pub(crate) spec: RunSpec,
    pub(crate) conversation: Conversation,
    /// The agents that it may use.
    pub(crate) pool: Pool,
    pub(crate) limits: Limits,
    /// The strategy's workflow, where one is named.
    pub(crate) workflow: Option<Workflow>,
    pub(crate) bodies: Vec<Body>,
    pub(crate) label: Label,
    /// What an idempotency key stands for.
    pub(crate) digest: String,
}

/// What lists show of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Label {
    /// The model as asked for.
    pub(crate) model: String,
    /// The beginning of the question.
    pub(crate) title: String,
    /// What else was asked for than messages: see [`asked_for`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) asked: Option<String>,
    /// What the ids of its calls of tools are made with, where their results are awaited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
}

/// A complaint about a request, by the field that is wrong.
pub(crate) fn invalid(code: ApiCode, param: &str, message: impl Into<String>) -> Status {
    let detail =
        v1::ErrorDetail { code: code.into(), param: Some(param.into()), retry_after_ms: None };
    status(Code::InvalidArgument, message, detail)
}

impl Ask {
    /// Resolves what came over the wire; the gateway has checked its form.
    pub(crate) fn new(wire: v1::SubmitRequest, settings: &Settings) -> Result<Self, Status> {
        let tenant = TenantId::new(&wire.tenant)
            .map_err(|error| invalid(ApiCode::InvalidTenant, "tenant", error.to_string()))?;
        let options = wire.options.clone().unwrap_or_default();
        let digest = digest(&wire.model, wire.conversation.as_ref(), &options);
        let asked = wire.awaits.then(|| asked_for(&wire));
        let mut conversation = Conversation::try_from(wire.conversation.unwrap_or_default())
            .map_err(|error| invalid(ApiCode::InvalidMessages, "messages", error.to_string()))?;
        if conversation.messages.is_empty() {
            return Err(invalid(
                ApiCode::EmptyMessages,
                "messages",
                "there is no message: expected at least one",
            ));
        }
        call_ids::plain(&mut conversation.messages);
        let images = conversation.messages.iter().any(Message::has_image);
        let allowed = Allowed::new(settings, &options)?;
        let pool = allowed.pool(settings, images)?;
        somebody_can(&pool, &conversation)?;
        let ultra = wire.model == "baton-ultra";
        let effort = Effort::new(options.effort.as_deref())?;
        // What a strategy needs is its own to say: effort bounds what a policy plans.
        let named_limits = limits(settings, &options, &conversation, ultra, Effort::Medium)?;
        let limits = limits(settings, &options, &conversation, ultra, effort)?;
        let check = check(settings, &pool, &options, effort.judges(ultra))?;
        let named = strategy_named(&wire.model, &options)?;
        let mut bodies = vec![Body::new(encode(&conversation))];
        let request = bodies[0].name.clone();
        let mut keep = |workflow: &Workflow| {
            let (plan, body) = stored(workflow);
            bodies.push(body);
            plan
        };
        let strategy = match (&named, &settings.policy) {
            (Some(named), _) => Some(named),
            (None, PolicySettings::Strategy(configured)) => Some(configured),
            (None, PolicySettings::Model(_)) => None,
        };
        let (planning, workflow) = match (strategy, policy(settings)) {
            (None, Some(card)) => {
                let fallback = keep(&build(&settings.fallback, &pool, &named_limits)?);
                let fallback_name = settings.fallback.name.clone();
                (Planning::Policy { model: card.into(), fallback, fallback_name }, None)
            }
            (strategy, _) => {
                let strategy = strategy.unwrap_or(&settings.fallback);
                let workflow = build(strategy, &pool, &named_limits)?;
                let plan = keep(&workflow);
                (Planning::Strategy { name: strategy.name.clone(), plan }, Some(workflow))
            }
        };
        let spec = RunSpec {
            request,
            budget: budget(settings, &options)?,
            limits,
            agents: pool.agents().iter().map(AgentTerms::from).collect(),
            planning,
            check,
            images,
            needs: conversation.needs(),
            awaits: wire.awaits && !conversation.tools.is_empty(),
            review: options.review.unwrap_or(settings.review || effort.reviews()),
            worth: worth(settings, &tenant, &options)?,
            recursion: effort.recurses()
                && settings.recursion
                && allowed.allows(&AgentId::itself()),
        };
        let title = conversation.question().chars().take(TITLE_CHARS_MAX).collect();
        let label = Label { model: wire.model, title, asked, secret: None };
        Ok(Self { tenant, spec, conversation, pool, limits, workflow, bodies, label, digest })
    }

    /// The label as the ledger keeps it.
    pub(crate) fn label_bytes(&self) -> Bytes {
        encode(&self.label)
    }
}

/// The model and the options of a request, as a hash: results of tools belong to a run only
/// where these are what it goes by.
pub(crate) fn asked_for(wire: &v1::SubmitRequest) -> String {
    let options = wire.options.clone().unwrap_or_default();
    let options = v1::RunOptions { background: false, ..options };
    Body::new(format!("{}\n{options:?}", wire.model)).name.hash.to_string()
}

/// What distinguishes one request from another under the same idempotency key.
fn digest(
    model: &str,
    conversation: Option<&v1::Conversation>,
    options: &v1::RunOptions,
) -> String {
    let text = format!("{model}\n{conversation:?}\n{options:?}");
    Body::new(text).name.hash.to_string()
}

/// Whom the request names as its agents.
struct Allowed {
    allow: Vec<AgentId>,
    deny: Vec<AgentId>,
}

impl Allowed {
    fn new(settings: &Settings, options: &v1::RunOptions) -> Result<Self, Status> {
        let named = |names: &[String], param: &str| -> Result<Vec<AgentId>, Status> {
            let (itself, others): (Vec<_>, Vec<_>) =
                names.iter().cloned().partition(|name| name == AgentId::ITSELF);
            let mut named = known(settings, &others, param)?;
            named.extend(itself.first().map(|_| AgentId::itself()));
            Ok(named)
        };
        let allow = named(&options.allow, "baton.allow")?;
        Ok(Self { allow, deny: named(&options.deny, "baton.deny")? })
    }

    fn allows(&self, id: &AgentId) -> bool {
        (self.allow.is_empty() || self.allow.contains(id)) && !self.deny.contains(id)
    }

    /// The agents that the request may use.
    fn pool(&self, settings: &Settings, images: bool) -> Result<Pool, Status> {
        let pool = settings.pool.filtered(|card| self.allows(&card.id)).map_err(|_| {
            let message = "no agent is left: every agent of the pool is denied or not allowed";
            invalid(ApiCode::NoAgentLeft, "baton.deny", message)
        })?;
        if !images {
            return Ok(pool);
        }
        pool.filtered(|card| card.images).map_err(|_| {
            let message = "the messages contain an image, and no agent of the run takes images";
            invalid(ApiCode::ImagesNotSupported, "messages", message)
        })
    }
}

/// The answer is left to an agent that can do what is asked: there has to be one.
fn somebody_can(pool: &Pool, conversation: &Conversation) -> Result<(), Status> {
    let needs = conversation.needs();
    if pool.agents().iter().any(|card| card.abilities.cover(needs)) {
        return Ok(());
    }
    let lacking = |can: fn(&AgentCard) -> bool| !pool.agents().iter().any(can);
    let (code, param) = if needs.tools && lacking(|card| card.abilities.tools) {
        (ApiCode::ToolsNotSupported, "tools")
    } else {
        (ApiCode::StructuredOutputNotSupported, "response_format")
    };
    let message = format!("no agent of the run takes what {param} asks for: leave it out");
    Err(invalid(code, param, message))
}

fn known(settings: &Settings, names: &[String], param: &str) -> Result<Vec<AgentId>, Status> {
    let find = |name: &String| {
        let id = AgentId::new(name).ok().filter(|id| settings.pool.get(id).is_some());
        id.ok_or_else(|| {
            let all: Vec<_> = settings.pool.agents().iter().map(|c| c.id.as_str()).collect();
            let message =
                format!("there is no agent {name:?}: expected some of {}", all.join(", "));
            invalid(ApiCode::UnknownAgent, param, message)
        })
    };
    names.iter().map(find).collect()
}

fn limits(
    settings: &Settings,
    options: &v1::RunOptions,
    conversation: &Conversation,
    ultra: bool,
    effort: Effort,
) -> Result<Limits, Status> {
    let mut limits = settings.limits;
    if ultra {
        limits.rounds_max = limits.rounds_max.max(ULTRA_ROUNDS);
    }
    limits = effort.limits(limits);
    if let Some(rounds) = options.rounds {
        let fits = u16::try_from(rounds).ok().filter(|r| (1..=ROUNDS_MAX).contains(r));
        limits.rounds_max = fits.ok_or_else(|| {
            let message = format!("baton.rounds is {rounds}: expected 1 to {ROUNDS_MAX}");
            invalid(ApiCode::InvalidRounds, "baton.rounds", message)
        })?;
    }
    // A long answer needs steps that may be as long.
    if let Some(asked) = conversation.output_tokens_max {
        limits.output_tokens_max = limits.output_tokens_max.max(asked);
    }
    Ok(limits)
}

/// The budget asked for, inside the configured one.
fn budget(settings: &Settings, options: &v1::RunOptions) -> Result<Budget, Status> {
    let most = settings.budget;
    let over = |param: &str, found: String, most: String| {
        let message = format!("{param} is {found}: expected more than 0 and at most {most}");
        invalid(ApiCode::InvalidBudget, param, message)
    };
    let usd = match options.usd {
        None => most.usd,
        Some(dollars) => Usd::from_dollars(dollars)
            .ok()
            .filter(|usd| *usd > Usd::ZERO && *usd <= most.usd)
            .ok_or_else(|| {
                over("baton.budget.usd", dollars.to_string(), most.usd.dollars().to_string())
            })?,
    };
    let within = |param: &str, asked: Option<u64>, most: u64, least: u64| match asked {
        None => Ok(most),
        Some(asked) if (least..=most).contains(&asked) => Ok(asked),
        Some(asked) => Err(over(param, asked.to_string(), most.to_string())),
    };
    let tokens = within("baton.budget.tokens", options.tokens, most.tokens, 1)?;
    let calls = within("baton.budget.calls", options.calls.map(u64::from), most.calls.into(), 1)?;
    let seconds =
        within("baton.budget.seconds", options.seconds.map(u64::from), most.seconds.into(), 1)?;
    let depth = within("baton.budget.depth", options.depth.map(u64::from), most.depth.into(), 0)?;
    // Each is within a maximum of its own type.
    Ok(Budget { usd, tokens, calls: calls as u32, seconds: seconds as u32, depth: depth as u8 })
}

/// What a right answer is worth: the request's word, or the operator's of this tenant.
fn worth(
    settings: &Settings,
    tenant: &TenantId,
    options: &v1::RunOptions,
) -> Result<Option<Usd>, Status> {
    let Some(dollars) = options.worth_usd else {
        return Ok(settings.tenants.get(tenant).and_then(|terms| terms.worth));
    };
    Usd::from_dollars(dollars).map(Some).map_err(|error| {
        let message = format!("baton.worth_usd: {error}");
        invalid(ApiCode::InvalidValue, "baton.worth_usd", message)
    })
}

fn check(
    settings: &Settings,
    pool: &Pool,
    options: &v1::RunOptions,
    judged: bool,
) -> Result<Option<Check>, Status> {
    let judge =
        |id: &AgentId| settings.pool.get(id).map(|card| Check::Judge { model: card.into() });
    match &options.check {
        Some(v1::run_options::Check::Expected(expected)) => {
            Ok(Some(Check::Answer { expected: expected.clone() }))
        }
        Some(v1::run_options::Check::CheckJson(check)) => stated(settings, pool, check).map(Some),
        Some(v1::run_options::Check::Judge(name)) if name.is_empty() => {
            let configured = settings.judge.as_ref().and_then(judge);
            configured.map(Some).ok_or_else(|| {
                let message = "no judge is configured: name an agent, or set policy.judge";
                invalid(ApiCode::NoJudge, "baton.verify.judge", message)
            })
        }
        Some(v1::run_options::Check::Judge(name)) => {
            let named = known(settings, std::slice::from_ref(name), "baton.verify.judge")?;
            Ok(named.first().and_then(judge))
        }
        None if judged => Ok(settings.judge.as_ref().and_then(judge)),
        None => Ok(None),
    }
}

/// A check that says its type, with everybody who may be asked for it.
fn stated(settings: &Settings, pool: &Pool, json: &str) -> Result<Check, Status> {
    let read = Stated::read(json).and_then(Stated::usable);
    let stated = read.map_err(|error| {
        let message = format!("baton.verify {}: {error}", error.field);
        invalid(ApiCode::InvalidValue, "baton.verify", message)
    })?;
    let check = json.to_owned();
    let mut judges: Vec<&AgentCard> = Vec::new();
    for judge in stated.judges() {
        let Some(model) = &judge.model else {
            judges.extend(pool.agents());
            continue;
        };
        let named = known(settings, &[model.to_string()], "baton.verify.model")?;
        judges.extend(named.iter().filter_map(|id| settings.pool.get(id)));
    }
    judges.sort_by_key(|card| settings.pool.ordinal(&card.id));
    judges.dedup_by_key(|card| &card.id);
    let judges: Vec<_> = judges.into_iter().map(AgentTerms::from).collect();
    let calls = u16::try_from(stated.judges().count()).unwrap_or(u16::MAX);
    Ok(match stated {
        Stated::JudgePairwise(_) => Check::Compared { check, judges },
        _ if calls > 0 => Check::Judged { check, judges, calls },
        _ => Check::Stated { check },
    })
}

/// The strategy that the request names, by its model or in its options.
fn strategy_named(
    model: &str,
    options: &v1::RunOptions,
) -> Result<Option<StrategySettings>, Status> {
    let parameters = match &options.strategy_parameters_json {
        None => serde_json::Value::Null,
        Some(text) => serde_json::from_str(text).map_err(|error| {
            let message = format!("the parameters are not a JSON object: {error}");
            invalid(ApiCode::InvalidStrategy, "baton.strategy_parameters", message)
        })?,
    };
    let by_model = model.strip_prefix("baton/");
    let name = match (by_model, &options.strategy) {
        (Some(by_model), Some(named)) if by_model != named => {
            let message = format!("the model names strategy {by_model}, baton.strategy {named}");
            return Err(invalid(ApiCode::InvalidStrategy, "baton.strategy", message));
        }
        (Some(name), _) => name.to_owned(),
        (None, Some(name)) => name.clone(),
        (None, None) => return Ok(None),
    };
    Ok(Some(StrategySettings { name, parameters }))
}

fn build(strategy: &StrategySettings, pool: &Pool, limits: &Limits) -> Result<Workflow, Status> {
    Strategy::parse(&strategy.name, &strategy.parameters)
        .and_then(|strategy| strategy.workflow(pool, limits))
        .map_err(|wrong| invalid(ApiCode::InvalidStrategy, "baton.strategy", wrong.join("; ")))
}
