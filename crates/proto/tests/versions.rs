//! Versions side by side on the wire: every field, value and call that a released version
//! has is there with the same number, type and form. New ones may come beside them, since
//! who does not know a field passes it by.
//!
//! `golden/VERSION.txt` is what a version has, a line each. It is never changed once the
//! version is released; that of one that is not is written anew by
//! `BATON_GOLDEN=write cargo test -p baton-proto --test versions`.

#![allow(clippy::unwrap_used, reason = "what should be there is there, or the test fails")]

use prost::Message as _;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorSet};
use std::{collections::BTreeSet, fs, path::PathBuf};

/// The version that is not released yet.
const PRESENT: &str = "0.1";

fn of_enum(path: &str, about: &EnumDescriptorProto, lines: &mut BTreeSet<String>) {
    let path = format!("{path}.{}", about.name());
    lines.extend(about.value.iter().map(|v| format!("value {path} {} {}", v.number(), v.name())));
}

fn of_message(path: &str, about: &DescriptorProto, lines: &mut BTreeSet<String>) {
    let path = format!("{path}.{}", about.name());
    for field in &about.field {
        // The form matters as the type does: one of many is not read as a single one.
        let of = field.type_name.as_deref().unwrap_or_default();
        let (kind, form) = (field.r#type().as_str_name(), field.label().as_str_name());
        let (number, name) = (field.number(), field.name());
        lines.insert(format!("field {path} {number} {name} {kind}{of} {form}"));
    }
    about.nested_type.iter().for_each(|inner| of_message(&path, inner, lines));
    about.enum_type.iter().for_each(|inner| of_enum(&path, inner, lines));
}

/// All that this program has.
fn present() -> BTreeSet<String> {
    let set = FileDescriptorSet::decode(baton_proto::DESCRIPTORS).unwrap();
    let mut lines = BTreeSet::new();
    for file in &set.file {
        let path = file.package();
        file.message_type.iter().for_each(|message| of_message(path, message, &mut lines));
        file.enum_type.iter().for_each(|kind| of_enum(path, kind, &mut lines));
        for service in &file.service {
            for call in &service.method {
                let stream = |is: bool| if is { "stream " } else { "" };
                lines.insert(format!(
                    "call {path}.{}/{} {}{} {}{}",
                    service.name(),
                    call.name(),
                    stream(call.client_streaming()),
                    call.input_type(),
                    stream(call.server_streaming()),
                    call.output_type(),
                ));
            }
        }
    }
    lines
}

#[test]
fn the_wire_of_every_version_is_still_spoken() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let present = present();
    if std::env::var_os("BATON_GOLDEN").is_some_and(|value| value == "write") {
        let text: String = present.iter().map(|line| format!("{line}\n")).collect();
        fs::write(folder.join(format!("{PRESENT}.txt")), text).unwrap();
    }
    let mut versions = 0;
    for file in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let golden = fs::read_to_string(file.path()).unwrap();
        let gone: Vec<_> = golden.lines().filter(|line| !present.contains(*line)).collect();
        assert!(gone.is_empty(), "{} has what is gone: {gone:#?}", file.path().display());
        assert!(golden.lines().count() > 100, "{} is not whole", file.path().display());
        versions += 1;
    }
    assert!(versions > 0, "the versions are gone");
}
