//! The whole manifest: its resources, its functions, its environments.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
    time::Duration,
};

use super::{
    Files,
    document::{Kind, Node, Span, Table},
    duration, environment, events, function,
    problem::{self, Problem, Report},
    reader::{Fields, Item, parse_name},
    routes::Endpoints,
    sections::{ARCHIVE, BUCKET, DATABASE, ENVIRONMENT, PROJECT},
    setting,
    topic::{self, Topics},
};
use crate::{
    limits,
    name::{BucketName, DatabaseName, EnvironmentName, FunctionName, InvalidName, ProjectName},
    project::{Bucket, Database, Function, NodeMajor, Project},
    suggest,
};

/// What the readers of functions need to know of everything else.
pub(super) struct Scene<'a> {
    pub(super) environment: &'a EnvironmentName,
    pub(super) files: &'a dyn Files,
    pub(super) node: NodeMajor,
    pub(super) resources: Resources,
    pub(super) functions: Declared,
    pub(super) endpoints: Endpoints,
}

impl Scene<'_> {
    /// A function of this project by name.
    pub(super) fn function(&self, item: Item<'_>) -> Option<FunctionName> {
        let text = item.text("the name of a function")?;
        if self.functions.names.contains(text) {
            return text.parse().ok();
        }
        self.functions.resolve(text, item.span(), item.report)
    }

    /// Whether leniency is allowed.
    pub(super) fn is_dev(&self) -> bool {
        self.environment.as_str() == "dev"
    }
}

/// What functions may refer to.
pub(super) struct Resources {
    pub(super) buckets: Declared,
    pub(super) databases: Declared,
    pub(super) topics: Topics,
}

/// The resources of one kind, as written: also those with a mistake of their own, so that one
/// mistake is not reported at every place that refers to it.
pub(super) struct Declared {
    pub(super) kind: &'static str,
    pub(super) names: BTreeSet<String>,
}

impl Declared {
    /// One of them, or a made-up one, for examples.
    pub(super) fn example(&self) -> &str {
        self.names.first().map_or("NAME", String::as_str)
    }

    /// The name, if such a resource was declared.
    pub(super) fn resolve<N>(&self, name: &str, at: &Span, report: &Report) -> Option<N>
    where
        N: FromStr<Err = InvalidName>,
    {
        if self.names.contains(name) {
            return name.parse().ok();
        }
        let kind = self.kind;
        let parsed: N = parse_name(name, at, report)?;
        let declare = format!("declare it: [{kind}.{}]", header(name));
        let near = (!report.is_long())
            .then(|| suggest::closest(name, self.names.iter().map(String::as_str)))
            .flatten();
        let help = match near {
            Some(near) => format!("did you mean `{near}`? Or {declare}"),
            None => declare,
        };
        report.problem(Problem::at(at, format!("there is no {kind} `{name}`")).help(help));
        drop(parsed);
        None
    }
}

/// A name as it would be written in a table's header.
pub(super) fn header(name: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if name.bytes().all(bare) {
        name.to_owned()
    } else {
        format!("\"{name}\"")
    }
}

/// Reads the manifest for one environment; checks the sections of the others too.
pub(super) fn read(
    document: &Table,
    environment: &EnvironmentName,
    files: &dyn Files,
) -> Result<(Project, Vec<Problem>), Vec<Problem>> {
    let report = Report::default();
    check_environments(document, environment, &report);
    let asked = environment::declared(document).find(|(name, _)| name == environment);
    let over = asked.map(|(_, node)| node);
    let project = read_merged(document, over, environment, files, &report);
    let (mut problems, warnings) = report.into_parts();
    let others = environment::declared(document).filter(|(name, _)| name != environment);
    for (name, node) in others.take(limits::MAX_ENVIRONMENTS) {
        problems.extend(own_problems(document, &name, node, files));
    }
    problem::in_order(&mut problems);
    match project {
        Some(project) if problems.is_empty() => Ok((project, warnings)),
        _ => Err(problems),
    }
}

/// The problems that another environment's own section causes.
fn own_problems(
    document: &Table,
    name: &EnvironmentName,
    node: &Node,
    files: &dyn Files,
) -> Vec<Problem> {
    let report = Report::default();
    read_merged(document, Some(node), name, files, &report);
    let mut places = Vec::new();
    environment::places(node, &mut places);
    let (mut problems, _) = report.into_parts();
    problems.retain(|problem| {
        let at = problem.at.as_ref();
        at.is_some_and(|at| (places.iter()).any(|own| own.start <= at.start && at.end <= own.end))
    });
    problems
}

fn check_environments(document: &Table, asked: &EnvironmentName, report: &Report) {
    let mut names = Vec::new();
    if let Some((key, node)) = document.get("environment") {
        let item = Item::of(key, node, report);
        let (count, most) = (
            node.as_table().map_or(0, |it| it.0.len()),
            limits::MAX_ENVIRONMENTS,
        );
        if count > most {
            let message = format!("the manifest declares {count} environments");
            report
                .problem(Problem::at(&key.span, message).help(format!("at most {most} are read")));
        }
        let expected = "a table of environments: [environment.production]";
        for (key, over) in item.entries(expected).into_iter().flatten() {
            let name: Option<EnvironmentName> = parse_name(&key.name, &key.span, report);
            names.extend(name.map(|name| name.to_string()));
            over.fields(&ENVIRONMENT, format!("environment `{}`", key.name));
        }
    }
    let known = |name: &&str| *name == asked.as_str();
    let all = || (names.iter().map(String::as_str)).chain(environment::ALWAYS);
    if all().find(known).is_none() {
        let mut listed: Vec<&str> = all().collect();
        listed.sort_unstable();
        listed.dedup();
        report.problem(
            Problem::of_the_whole(format!("there is no environment `{asked}`")).help(format!(
                "there is {}; declare it: [environment.{asked}]",
                listed
                    .iter()
                    .map(|name| format!("`{name}`"))
                    .collect::<Vec<_>>()
                    .join(", ")
            )),
        );
    }
}

fn read_merged(
    document: &Table,
    over: Option<&Node>,
    environment: &EnvironmentName,
    files: &dyn Files,
    report: &Report,
) -> Option<Project> {
    let root = Node {
        span: 0..0,
        kind: Kind::Table(environment::merged(document, over)),
    };
    let item = Item {
        name: "the manifest",
        key: None,
        node: &root,
        report,
    };
    let fields = item.fields(&PROJECT, "the manifest")?;
    let name = project_name(&fields);
    let node = (fields.get("node"))
        .and_then(function::node_major)
        .unwrap_or(NodeMajor::V24);
    let scene = Scene {
        environment,
        files,
        node,
        resources: Resources {
            buckets: declared(&fields, "bucket"),
            databases: declared(&fields, "database"),
            topics: Topics::of(declared(&fields, "topic")),
        },
        functions: declared(&fields, "function"),
        endpoints: Endpoints::default(),
    };
    let buckets = named(&fields, "bucket", read_bucket);
    let databases = named(&fields, "database", read_database);
    let topics = named(&fields, "topic", topic::read);
    let events = (fields.get("events")).and_then(|item| events::read(item, &scene));
    let keep_events = (fields.get("archive")).and_then(read_archive);
    let functions = read_functions(&fields, &scene);
    scene.endpoints.refuse_collisions(report);
    Some(Project {
        topics,
        events,
        keep_events: keep_events.unwrap_or(limits::EVENT_RETENTION),
        name: name?,
        environment: environment.clone(),
        node,
        buckets,
        databases,
        functions,
    })
}

fn project_name(fields: &Fields<'_>) -> Option<ProjectName> {
    let Some(item) = fields.get("name") else {
        fields.report.problem(
            Problem::of_the_whole("the manifest has no `name`")
                .help("write name = \"NAME\" in its first line: every identity begins with it"),
        );
        return None;
    };
    item.name_of("the project's name in quotes")
}

fn declared(fields: &Fields<'_>, kind: &'static str) -> Declared {
    let table = fields.get(kind).and_then(|item| item.node.as_table());
    let keys = table.into_iter().flat_map(|table| table.0.iter());
    Declared {
        kind,
        names: keys.map(|(key, _)| key.name.clone()).collect(),
    }
}

/// Reads the tables under `[kind.NAME]`.
fn named<N, T>(
    fields: &Fields<'_>,
    kind: &'static str,
    read: impl Fn(&N, Item<'_>) -> Option<T>,
) -> BTreeMap<N, T>
where
    N: FromStr<Err = InvalidName> + Ord,
{
    let expected = format!("tables: [{kind}.NAME]");
    let entries = fields.get(kind).and_then(|item| item.entries(&expected));
    let mut all = BTreeMap::new();
    for (key, item) in entries.into_iter().flatten() {
        if let Some(name) = parse_name::<N>(&key.name, &key.span, fields.report)
            && let Some(value) = read(&name, item)
        {
            all.insert(name, value);
        }
    }
    all
}

fn read_bucket(name: &BucketName, item: Item<'_>) -> Option<Bucket> {
    item.fields(&BUCKET, format!("bucket `{name}`"))
        .map(|_| Bucket::default())
}

fn read_database(name: &DatabaseName, item: Item<'_>) -> Option<Database> {
    let fields = item.fields(&DATABASE, format!("database `{name}`"))?;
    let url = fields.required("url", &format!("url = \"sqlite:data/{name}.db\""))?;
    check_scheme(url);
    Some(Database {
        url: setting::read(url)?,
    })
}

/// A URL that stands in the manifest must be one we can open. One that is read elsewhere is
/// checked when it is read.
fn check_scheme(url: Item<'_>) {
    let Kind::Text(text) = &url.node.kind else {
        return;
    };
    let later = ["postgres:", "postgresql:", "mysql:", "mariadb:", "mongodb:"];
    if let Some(scheme) = later.iter().find(|scheme| text.starts_with(**scheme)) {
        url.refuse(
            format!("a database on `{scheme}` is not supported yet by this version"),
            "expected `sqlite:` and the path of a file",
        );
    } else if text.strip_prefix("sqlite:").is_none_or(str::is_empty) {
        let path = text
            .rsplit(':')
            .next()
            .unwrap_or_default()
            .trim_start_matches('/');
        let path = if path.is_empty() {
            "data/NAME.db"
        } else {
            path
        };
        url.refuse(
            format!(
                "`url` is {}, which names no database",
                super::document::quoted(text)
            ),
            format!("expected `sqlite:` and the path of a file, such as \"sqlite:{path}\""),
        );
    }
}

fn read_archive(item: Item<'_>) -> Option<Duration> {
    let fields = item.fields(&ARCHIVE, "`[archive]`")?;
    let keep = fields.required("keep", "keep = \"7d\"")?;
    duration::read(keep, limits::MIN_KEEP_EVENTS..=limits::MAX_KEEP_EVENTS)
}

fn read_functions(fields: &Fields<'_>, scene: &Scene<'_>) -> BTreeMap<FunctionName, Function> {
    named(fields, "function", |name: &FunctionName, item| {
        function::read(name.clone(), item, scene)
    })
}
