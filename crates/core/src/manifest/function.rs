//! `[function.NAME]`.

use std::sync::Arc;

use super::{
    access, code, duration, flow,
    project::Scene,
    reader::{Fields, Item, Words},
    retry, routes,
    sections::FUNCTION,
    setting, size,
    trigger::{self, Bases},
};
use crate::{
    flow::Flow,
    limits,
    name::FunctionName,
    project::{Auth, Function, NodeMajor, Style},
    retry::RetryPolicy,
};

const STYLES: Words<'static, Style> = Words {
    known: &[
        ("lambda", Style::Lambda),
        ("web", Style::Web),
        ("native", Style::Native),
        ("spica", Style::Spica),
        ("cloudevents", Style::Cloudevents),
    ],
    meanings: &[
        ("aws", "lambda"),
        ("fetch", "web"),
        ("worker", "web"),
        ("express", "native"),
        ("node", "native"),
        ("google", "cloudevents"),
        ("gcf", "cloudevents"),
        ("functions-framework", "cloudevents"),
    ],
    later: &[],
};

pub(super) const AUTHS: Words<'static, Auth> = Words {
    known: &[("none", Auth::None), ("key", Auth::Key)],
    meanings: &[
        ("public", "none"),
        ("anonymous", "none"),
        ("apikey", "key"),
        ("api_key", "key"),
        ("bearer", "key"),
        ("token", "key"),
    ],
    later: &["jwt", "webhook"],
};

/// Reads the function at `item`, whose name passed.
pub(super) fn read(name: FunctionName, item: Item<'_>, scene: &Scene<'_>) -> Option<Function> {
    let fields = item.fields(&FUNCTION, format!("function `{name}`"))?;
    let path = match fields.get("code") {
        Some(given) => code::read(given, scene.files),
        None => code::find(item, &scene.functions.names, scene.files),
    };
    let style = fields.get("style").and_then(|item| item.word(&STYLES));
    let node = (fields.get("node"))
        .and_then(node_major)
        .unwrap_or(scene.node);
    let env = fields.get("env").map(setting::read_env).unwrap_or_default();
    let access = (fields.get("access"))
        .map(|item| access::read(item, name.as_str(), scene))
        .unwrap_or_default();
    let limits = Limits::read(&fields);
    let bases = Bases {
        function: &name,
        fields: &fields,
        flow: flow::read_defaults(&fields, &Flow::default(), scene),
        concurrency: limits.concurrency,
        retry: (fields.get("retry")).map_or_else(RetryPolicy::default, |item| {
            retry::read(item, &RetryPolicy::default())
        }),
        auth: fields.get("auth").and_then(|item| item.word(&AUTHS)),
        says_auth: fields.get("auth").is_some(),
    };
    flow::check_defaults(&bases);
    let mut found = trigger::read_all(&fields, &bases, scene);
    found.extend(routes::read_table(&fields, &bases, scene));
    trigger::refuse_twins(&found, &fields);
    trigger::demand_auth(&found, &fields, &bases, scene);
    flow::warn_of_idle_defaults(&found, &bases);
    scene.endpoints.add(&found);
    let (retry, flow) = (bases.retry, Arc::new(bases.flow));
    Some(Function {
        code: path?,
        style,
        node,
        timeout: limits.timeout,
        memory: limits.memory,
        max_body: limits.max_body,
        env,
        access,
        concurrency: limits.concurrency,
        per_worker: limits.per_worker,
        scale_down_after: limits.scale_down_after,
        retry,
        flow,
        triggers: found.into_iter().map(|found| found.trigger).collect(),
        name,
    })
}

/// The numbers of a function.
struct Limits {
    timeout: std::time::Duration,
    memory: u64,
    max_body: u64,
    concurrency: u32,
    per_worker: Option<u32>,
    scale_down_after: std::time::Duration,
}

impl Limits {
    fn read(fields: &Fields<'_>) -> Self {
        let duration = |key, bounds| {
            fields
                .get(key)
                .and_then(|item| duration::read(item, bounds))
        };
        let count = |key, most| fields.get(key).and_then(|item| item.count(1..=most));
        let size = |key, bounds| fields.get(key).and_then(|item| size::read(item, bounds));
        Self {
            timeout: duration("timeout", limits::MIN_TIMEOUT..=limits::MAX_TIMEOUT)
                .unwrap_or(limits::TIMEOUT),
            memory: size("memory", limits::MIN_MEMORY..=limits::MAX_MEMORY)
                .unwrap_or(limits::MEMORY),
            max_body: size("max_body", limits::LEAST_MAX_BODY..=limits::MOST_MAX_BODY)
                .unwrap_or(limits::MAX_BODY),
            concurrency: count("concurrency", limits::MOST_CONCURRENCY)
                .unwrap_or(limits::CONCURRENCY),
            per_worker: count("per_worker", limits::MOST_PER_WORKER),
            scale_down_after: duration(
                "scale_down_after",
                limits::MIN_SCALE_DOWN_AFTER..=limits::MAX_SCALE_DOWN_AFTER,
            )
            .unwrap_or(limits::SCALE_DOWN_AFTER),
        }
    }
}

/// Reads a version of Node: `"24"` or `24`.
pub(super) fn node_major(item: Item<'_>) -> Option<NodeMajor> {
    let text = match item.as_integer_text() {
        Some(number) => number,
        None => item.text("a major version of Node, such as \"24\"")?,
    };
    let found = (NodeMajor::ALL.iter()).find(|major| major.to_string() == text);
    if found.is_none() {
        let supported: Vec<String> = NodeMajor::ALL.iter().map(ToString::to_string).collect();
        item.refuse(
            format!("Node {} is not supported", super::document::quoted(text)),
            format!("expected a major version: {}", supported.join(", ")),
        );
    }
    found.copied()
}
