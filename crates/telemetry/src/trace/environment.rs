//! The `OTEL_` variables that are not the exporter's own to read,
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>.

use super::export::Batches;
use opentelemetry::KeyValue;
use opentelemetry_sdk::{
    Resource,
    resource::EnvResourceDetector,
    trace::{Sampler, ShouldSample},
};
use std::{fmt::Display, str::FromStr, time::Duration};

/// What of the environment concerns traces.
#[derive(Debug)]
pub(super) struct Environment {
    /// `OTEL_SERVICE_NAME`: one name for all services of the process.
    name: Option<String>,
    /// `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG`.
    pub(super) sampler: Box<dyn ShouldSample>,
    /// `OTEL_BSP_…`.
    pub(super) batches: Batches,
    /// `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`.
    pub(super) contents: bool,
}

impl Environment {
    /// What it says; nothing where nothing shall be exported.
    pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let set = |name: &str| {
            let value = variable(name).map(|value| value.trim().to_owned());
            value.filter(|value| !value.is_empty())
        };
        let yes = |name: &str| set(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let exporter = set("OTEL_TRACES_EXPORTER");
        let named = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
        let wanted = match exporter.as_deref() {
            None => named.into_iter().any(|name| set(name).is_some()),
            Some("otlp") => true,
            Some("none") => false,
            Some(other) => {
                tracing::warn!(exporter = other, "OTEL_TRACES_EXPORTER: expected otlp or none");
                false
            }
        };
        if !wanted || yes("OTEL_SDK_DISABLED") {
            return None;
        }
        let contents = set("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT");
        let contents = contents.map(|value| value.to_ascii_lowercase());
        Some(Self {
            name: set("OTEL_SERVICE_NAME"),
            sampler: sampler(set("OTEL_TRACES_SAMPLER"), set("OTEL_TRACES_SAMPLER_ARG")),
            batches: batches(set),
            contents: matches!(contents.as_deref(), Some("true" | "span_only" | "span_and_event")),
        })
    }

    /// Who a service is: what the user says of it goes before what it says itself.
    pub(super) fn resource(&self, kind: &str, instance: &str) -> Resource {
        let resource = Resource::builder_empty()
            .with_attributes([
                KeyValue::new("service.name", format!("baton-{kind}")),
                KeyValue::new("service.namespace", "baton"),
                KeyValue::new("service.instance.id", instance.to_owned()),
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                KeyValue::new("telemetry.sdk.name", "opentelemetry"),
                KeyValue::new("telemetry.sdk.language", "rust"),
            ])
            .with_detector(Box::new(EnvResourceDetector::new()));
        match &self.name {
            Some(name) => resource.with_service_name(name.clone()).build(),
            None => resource.build(),
        }
    }
}

/// What is no sampler is warned of, and the standard's own default taken, as the standard
/// asks for.
fn sampler(name: Option<String>, argument: Option<String>) -> Box<dyn ShouldSample> {
    let ratio = || {
        let ratio = argument.as_deref().map(str::parse);
        let ratio = ratio.and_then(Result::ok).filter(|ratio| (0.0..=1.0).contains(ratio));
        Sampler::TraceIdRatioBased(ratio.unwrap_or_else(|| {
            tracing::warn!(
                argument,
                "OTEL_TRACES_SAMPLER_ARG: expected a number from 0 to 1; every trace is sampled"
            );
            1.0
        }))
    };
    let by_parent = |sampler| Sampler::ParentBased(Box::new(sampler));
    Box::new(match name.as_deref() {
        None | Some("parentbased_always_on") => by_parent(Sampler::AlwaysOn),
        Some("parentbased_always_off") => by_parent(Sampler::AlwaysOff),
        Some("parentbased_traceidratio") => by_parent(ratio()),
        Some("always_on") => Sampler::AlwaysOn,
        Some("always_off") => Sampler::AlwaysOff,
        Some("traceidratio") => ratio(),
        Some(other) => {
            tracing::warn!(
                sampler = other,
                "OTEL_TRACES_SAMPLER: expected always_on, always_off or traceidratio, or one \
                 of these behind parentbased_; parentbased_always_on is taken"
            );
            by_parent(Sampler::AlwaysOn)
        }
    })
}

fn batches(set: impl Fn(&str) -> Option<String>) -> Batches {
    let usual = Batches::default();
    let ms = |name: &str, usual: Duration| {
        let usual = u64::try_from(usual.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(number(&set, name, usual))
    };
    let queue_max = number(&set, "OTEL_BSP_MAX_QUEUE_SIZE", usual.queue_max).max(1);
    let batch_max = number(&set, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", usual.batch_max);
    Batches {
        queue_max,
        batch_max: batch_max.clamp(1, queue_max),
        delay: ms("OTEL_BSP_SCHEDULE_DELAY", usual.delay),
        timeout: ms("OTEL_BSP_EXPORT_TIMEOUT", usual.timeout),
    }
}

fn number<T: FromStr + Display>(set: &impl Fn(&str) -> Option<String>, name: &str, usual: T) -> T {
    let Some(text) = set(name) else { return usual };
    text.parse().unwrap_or_else(|_| {
        tracing::warn!(value = text, "{name}: expected a whole number; {usual} is taken");
        usual
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::Key;

    fn read(variables: &[(&str, &str)]) -> Option<Environment> {
        Environment::read(|name| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    const COLLECTOR: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317");

    #[test]
    fn nothing_is_exported_unless_somebody_says_where_to() {
        let check = |variables: &[_], on: bool| {
            assert_eq!(read(variables).is_some(), on, "{variables:?}");
        };
        check(&[], false);
        check(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], false);
        check(&[COLLECTOR], true);
        check(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", COLLECTOR.1)], true);
        check(&[("OTEL_TRACES_EXPORTER", "otlp")], true);
        check(&[COLLECTOR, ("OTEL_TRACES_EXPORTER", "none")], false);
        check(&[COLLECTOR, ("OTEL_TRACES_EXPORTER", "zipkin")], false);
        check(&[COLLECTOR, ("OTEL_SDK_DISABLED", "true")], false);
    }

    #[test]
    fn samplers_have_their_standard_names() {
        let check = |name: &str, argument: &str, expected: &str| {
            let variables =
                [COLLECTOR, ("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", argument)];
            let sampler = format!("{:?}", read(&variables).unwrap().sampler);
            assert_eq!(sampler, expected, "{name} {argument}");
        };
        check("", "", "ParentBased(AlwaysOn)");
        check("nonsense", "", "ParentBased(AlwaysOn)");
        check("always_off", "", "AlwaysOff");
        check("parentbased_always_off", "", "ParentBased(AlwaysOff)");
        check("traceidratio", "0.25", "TraceIdRatioBased(0.25)");
        check("parentbased_traceidratio", "0.25", "ParentBased(TraceIdRatioBased(0.25))");
        check("parentbased_traceidratio", "25", "ParentBased(TraceIdRatioBased(1.0))");
    }

    #[test]
    fn batches_are_bounded_whatever_is_asked_for() {
        let batches = |variables: &[_]| read(&[&[COLLECTOR], variables].concat()).unwrap().batches;
        assert_eq!(batches(&[]), Batches::default());
        assert_eq!(batches(&[("OTEL_BSP_MAX_QUEUE_SIZE", "many")]), Batches::default());
        let small = batches(&[("OTEL_BSP_MAX_QUEUE_SIZE", "0"), ("OTEL_BSP_SCHEDULE_DELAY", "7")]);
        assert_eq!((small.queue_max, small.batch_max), (1, 1));
        assert_eq!(small.delay, Duration::from_millis(7));
    }

    #[test]
    fn a_service_says_who_it_is_unless_the_user_does() {
        let name = |variables: &[_]| {
            let environment = read(&[&[COLLECTOR], variables].concat()).unwrap();
            let resource = environment.resource("gateway", "gateway-1");
            let fact = |key| resource.get(&Key::new(key)).unwrap().to_string();
            (fact("service.name"), fact("service.instance.id"))
        };
        assert_eq!(name(&[]), ("baton-gateway".into(), "gateway-1".into()));
        let named = name(&[("OTEL_SERVICE_NAME", "ours")]);
        assert_eq!(named, ("ours".into(), "gateway-1".into()));
    }

    #[test]
    fn contents_are_exported_only_where_somebody_asks_for_them() {
        let variable = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT";
        let contents = |value| read(&[COLLECTOR, (variable, value)]).unwrap().contents;
        let expected =
            [("", false), ("false", false), ("NO_CONTENT", false), ("EVENT_ONLY", false)];
        expected.into_iter().for_each(|(value, on)| assert_eq!(contents(value), on, "{value}"));
        for value in ["true", "TRUE", "SPAN_ONLY", "SPAN_AND_EVENT"] {
            assert!(contents(value), "{value}");
        }
    }
}
