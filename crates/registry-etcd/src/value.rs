//! What stands at the keys: JSON with the number of its format.

use baton_registry::{Document, Kind, Member, Programs, RegistryError, Stranger};
use baton_workflow::AgentId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The format written here. Fields may be added to it: those that are not known are
/// ignored. A change of what a field means is another format.
const FORMAT: u64 = 1;

#[derive(Serialize, Deserialize)]
struct MemberValue {
    format: u64,
    holder: String,
    kind: String,
    address: String,
    agents: Vec<AgentId>,
    capacity: u32,
    load: u32,
    version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    programs: Option<Programs>,
}

#[derive(Serialize, Deserialize)]
struct DocumentValue {
    format: u64,
    #[serde(flatten)]
    document: Document,
}

/// A member as it is written.
pub(crate) fn member_text(member: &Member) -> Result<Vec<u8>, RegistryError> {
    let Member { holder, kind, address, agents, capacity, load, version, programs } =
        member.clone();
    let kind = kind.name().to_owned();
    let value = MemberValue {
        format: FORMAT,
        holder,
        kind,
        address,
        agents,
        capacity,
        load,
        version,
        programs,
    };
    serde_json::to_vec(&value).map_err(|error| RegistryError::Invalid(error.to_string()))
}

/// What stands at the key of a member: the member, or why it is none that can be used.
pub(crate) fn member(
    key: &str,
    expected: Option<(Kind, &str)>,
    text: &[u8],
) -> Result<Member, Stranger> {
    let stranger = |version: Option<&Value>, reason: String| Stranger {
        place: key.to_owned(),
        version: version.and_then(Value::as_str).map(str::to_owned),
        reason,
    };
    let value: Value = serde_json::from_slice(text)
        .map_err(|error| stranger(None, format!("what stands there is not ours: {error}")))?;
    let version = value.get("version");
    match value.get("format").and_then(Value::as_u64) {
        Some(FORMAT) => {}
        Some(other) => {
            return Err(stranger(
                version,
                format!(
                    "it is written in format {other} and this program knows format {FORMAT}: \
                     bring the processes of the cluster to versions that go together"
                ),
            ));
        }
        None => {
            return Err(stranger(
                version,
                "what stands there is not ours: it has no format".into(),
            ));
        }
    }
    let read = serde_json::from_value::<MemberValue>(value.clone());
    let read = read.map_err(|error| stranger(version, format!("it cannot be read: {error}")))?;
    let MemberValue { format: _, holder, kind, address, agents, capacity, load, .. } = read;
    let (of, programs) = (read.version, read.programs);
    match expected {
        Some((kind, name)) if name == holder && kind.name() == read_kind(&value) => {
            Ok(Member { holder, kind, address, agents, capacity, load, version: of, programs })
        }
        Some(_) | None => Err(stranger(
            version,
            format!("it says that it is the {kind} {holder}, which does not belong there"),
        )),
    }
}

fn read_kind(value: &Value) -> &str {
    value.get("kind").and_then(Value::as_str).unwrap_or_default()
}

/// A configuration as it is written.
pub(crate) fn document_text(document: &Document) -> Result<Vec<u8>, RegistryError> {
    let value = DocumentValue { format: FORMAT, document: document.clone() };
    serde_json::to_vec(&value).map_err(|error| RegistryError::Invalid(error.to_string()))
}

/// The configuration that stands at a key, or why what stands there is none.
pub(crate) fn document(key: &str, text: &[u8]) -> Result<Document, String> {
    let value: Value = serde_json::from_slice(text)
        .map_err(|error| format!("what stands at {key} is not ours: {error}"))?;
    match value.get("format").and_then(Value::as_u64) {
        Some(FORMAT) => {}
        Some(other) => {
            return Err(format!(
                "the configuration at {key} is written in format {other} and this program \
                 knows format {FORMAT}: push it again with this version, or use a later one"
            ));
        }
        None => return Err(format!("what stands at {key} is not ours: it has no format")),
    }
    let read = serde_json::from_value::<DocumentValue>(value);
    read.map(|value| value.document)
        .map_err(|error| format!("the configuration at {key} cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Result<Member, Stranger> {
        member("/key", Some((Kind::Verifier, "v")), text.as_bytes())
    }

    #[test]
    fn a_member_is_read_back_whole() {
        let agents = vec![AgentId::new("a").unwrap()];
        let programs = Some(Programs::Isolated("ns".into()));
        let new = Member::new("v", Kind::Verifier, "x");
        let told = Member { agents, capacity: 3, load: 2, programs, ..new };
        let text = String::from_utf8(member_text(&told).unwrap()).unwrap();
        assert_eq!(read(&text), Ok(told));
    }

    /// What a released version wrote is read, with or without what a later one adds; and all
    /// that it reads is still written.
    #[test]
    fn versions_work_side_by_side() {
        let golden = json!({
            "format": 1, "holder": "v", "kind": "verifier", "address": "x", "agents": ["a"],
            "capacity": 3, "load": 2, "version": "0.1.0",
        });
        let document_ = json!({
            "format": 1, "revision": 3, "text": "[limits]\n", "author": "me", "at_ms": 5,
            "comment": "",
        });
        let later = |value: &Value| {
            let mut value = value.clone();
            value["of_later"] = json!({ "x": [1] });
            value.to_string()
        };
        let has = |written: &[u8], golden: &Value| {
            let written: Value = serde_json::from_slice(written).unwrap();
            let golden = golden.as_object().unwrap();
            let lacking = golden.iter().find(|(name, value)| written.get(name) != Some(value));
            assert_eq!(lacking, None, "a released version would miss it: {written}");
        };
        let known = read(&golden.to_string()).unwrap();
        assert_eq!(read(&later(&golden)).as_ref(), Ok(&known));
        has(&member_text(&known).unwrap(), &golden);
        let known = document("/key", document_.to_string().as_bytes()).unwrap();
        assert_eq!(document("/key", later(&document_).as_bytes()).as_ref(), Ok(&known));
        has(&document_text(&known).unwrap(), &document_);
    }

    #[test]
    fn strangers_are_named() {
        let check = |text: &str, version: Option<&str>, reason: &str| {
            let stranger = read(text).unwrap_err();
            assert_eq!(stranger.version.as_deref(), version, "{text}");
            assert!(stranger.reason.contains(reason), "{text}: {}", stranger.reason);
        };
        check(r#"{"format":2,"version":"3.0.0","other":1}"#, Some("3.0.0"), "format 2");
        check("hello", None, "not ours");
        check("{}", None, "no format");
        check(r#"{"format":1,"version":"1"}"#, Some("1"), "cannot be read");
        let other = member_text(&Member::new("w", Kind::Verifier, "x")).unwrap();
        check(&String::from_utf8(other).unwrap(), Some("0.1.0"), "the verifier w");
    }

    #[test]
    fn a_configuration_is_read_back_whole() {
        let document_ = Document {
            revision: 3,
            text: "[limits]\n".into(),
            author: "me".into(),
            at_ms: 5,
            comment: String::new(),
        };
        let text = document_text(&document_).unwrap();
        assert_eq!(document("/key", &text), Ok(document_));
        assert!(document("/key", b"{\"format\":2}").unwrap_err().contains("format 2"));
        assert!(document("/key", b"1").unwrap_err().contains("not ours"));
    }
}
