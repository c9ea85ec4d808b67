//! HTTP endpoints: their syntax, and which of them would take each other's requests.

use std::cell::RefCell;

use super::{
    document::{Span, quoted},
    flow,
    problem::{Problem, Report},
    project::Scene,
    reader::{Fields, Item, parse_name},
    sections::{ENDPOINT, ROUTE},
    trigger::{Bases, Common, HANDLER, Placed},
};
use crate::{limits, project::On, suggest};

/// The methods an endpoint may name.
pub(super) const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// A method (all when `None`) and a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) method: Option<&'static str>,
    pub(super) path: String,
}

/// Reads `http` of a trigger: `"GET /x"`, `"/x"` or `{ method = "GET", path = "/x" }`.
pub(super) fn read(item: Item<'_>) -> Option<Route> {
    if !item.is_table() {
        let text = item.text("a route such as \"GET /photos/{name}\"")?;
        return parse(text, item.span(), item.report);
    }
    let fields = item.fields(&ENDPOINT, "`http`")?;
    let method = match fields.get("method") {
        None => Some(None),
        Some(item) => (item.text("a method, such as \"GET\""))
            .and_then(|text| parse_method(text, item.span(), item.report))
            .map(Some),
    };
    let path = fields.required("path", "path = \"/…\"").and_then(|item| {
        let text = item.text("a path, such as \"/photos/{name}\"")?;
        check_path(text, item.span(), item.report)
    });
    Some(Route {
        method: method?,
        path: path?,
    })
}

/// Reads `routes` of a function.
pub(super) fn read_table(fields: &Fields<'_>, bases: &Bases<'_>, scene: &Scene<'_>) -> Vec<Placed> {
    let expected = "a table of routes, such as \"GET /books/{id}\" = \"getBook\"";
    let table = fields.get("routes").and_then(|item| item.entries(expected));
    let entries = table.into_iter().flatten();
    entries
        .filter_map(|(key, item)| {
            let route = parse(&key.name, &key.span, item.report);
            let read = common(item, bases, scene);
            let (route, (common, fields)) = (route?, read?);
            let on = On::Http(common.endpoint(route, bases, scene));
            if let Some(fields) = fields {
                flow::check_trigger(&fields, &on, &common, bases);
            }
            Some(common.place(on, bases, key.span.clone()))
        })
        .collect()
}

/// What an entry of `routes` says, and its keys when it is a table.
fn common<'a>(
    item: Item<'a>,
    bases: &Bases<'_>,
    scene: &Scene<'_>,
) -> Option<(Common, Option<Fields<'a>>)> {
    if item.is_table() {
        let what = format!(
            "route {} of function `{}`",
            quoted(item.name),
            bases.function
        );
        let fields = item.fields(&ROUTE, what)?;
        return Some((Common::read(&fields, bases, scene), Some(fields)));
    }
    let text = item.text(&format!("{HANDLER}, or {{ handler = \"getBook\" }}"))?;
    let handler = parse_name(text, item.span(), item.report)?;
    Some((Common::with_handler(Some(handler), bases), None))
}

fn parse(text: &str, span: &Span, report: &Report) -> Option<Route> {
    let text = text.trim();
    let Some((method, path)) = text.split_once(char::is_whitespace) else {
        if METHODS.contains(&text.to_ascii_uppercase().as_str()) {
            let problem = Problem::at(span, format!("the route {} has no path", quoted(text)));
            report.problem(problem.help(format!("write \"{} /…\"", text.to_ascii_uppercase())));
            return None;
        }
        let path = check_path(text, span, report)?;
        return Some(Route { method: None, path });
    };
    // Both are checked before either may end this.
    let method = parse_method(method, span, report);
    let path = check_path(path.trim_start(), span, report);
    Some(Route {
        method: Some(method?),
        path: path?,
    })
}

fn parse_method(text: &str, span: &Span, report: &Report) -> Option<&'static str> {
    let found = METHODS.iter().find(|method| **method == text);
    if found.is_none() {
        let problem = Problem::at(span, format!("{} is no method", quoted(text)));
        report.problem(match text.to_ascii_uppercase().as_str() {
            "ANY" | "ALL" | "*" => problem.help("for all methods write the path alone"),
            _ => problem.help(suggest::did_you_mean(text, METHODS.iter().copied())),
        });
    }
    found.copied()
}

pub(super) fn check_path(path: &str, span: &Span, report: &Report) -> Option<String> {
    match fault(path) {
        None => Some(path.to_owned()),
        Some((fault, help)) => {
            let message = format!("the path {} {fault}", quoted(path));
            report.problem(Problem::at(span, message).help(help));
            None
        }
    }
}

/// What is wrong with a path, to finish the sentence "the path …", and what to write.
fn fault(path: &str) -> Option<(String, String)> {
    let say = |fault: &str, help: String| Some((fault.to_owned(), help));
    if !path.starts_with('/') {
        return say("does not begin with `/`", format!("write \"/{path}\""));
    }
    if path.len() > limits::MAX_ROUTE {
        return say(
            "is too long",
            format!("at most {} bytes", limits::MAX_ROUTE),
        );
    }
    if let Some(better) = without_foreign_parameters(path) {
        return say(
            "has parameters in another system's syntax",
            format!("write \"{better}\""),
        );
    }
    if path.contains(['?', '#']) {
        return say(
            "has a query or fragment",
            "leave it out: the query is in the request, whatever it is".to_owned(),
        );
    }
    if path.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return say(
            "contains white space",
            "write one path, without white space".to_owned(),
        );
    }
    parameter_fault(path).or_else(|| {
        let error = matchit::Router::new().insert(path, ()).err()?;
        let fault = match error {
            matchit::InsertError::InvalidParamSegment => "has two parameters in one segment",
            matchit::InsertError::InvalidCatchAll => "goes on after `{*…}`",
            _ => "has a parameter that cannot be read",
        };
        say(fault, PARAMETERS.to_owned())
    })
}

const PARAMETERS: &str = "`{name}` takes one segment or a part of it, `{*rest}` at the end takes \
                          what remains; a brace itself is written twice";

/// The path with `:id` (Express), `*` and `{proxy+}` (API Gateway) as we write them, if it has any.
fn without_foreign_parameters(path: &str) -> Option<String> {
    let translate = |segment: &str| -> Option<String> {
        if let Some(name) = segment.strip_prefix(':') {
            let name = name.trim_end_matches('?');
            return Some(format!(
                "{{{}}}",
                if name.is_empty() { "name" } else { name }
            ));
        }
        if let Some(name) = (segment.strip_prefix('{')).and_then(|rest| rest.strip_suffix("+}")) {
            return Some(format!("{{*{name}}}"));
        }
        if let Some(name) = segment.strip_prefix('*') {
            return Some(format!(
                "{{*{}}}",
                if name.is_empty() { "rest" } else { name }
            ));
        }
        (segment.starts_with('<') && segment.ends_with('>'))
            .then(|| format!("{{{}}}", &segment[1..segment.len() - 1]))
    };
    let segments: Vec<(bool, String)> = (path.split('/'))
        .map(|segment| match translate(segment) {
            Some(better) => (true, better),
            None => (false, segment.to_owned()),
        })
        .collect();
    let any = segments.iter().any(|(foreign, _)| *foreign);
    let better: Vec<String> = segments.into_iter().map(|(_, segment)| segment).collect();
    any.then(|| better.join("/"))
}

fn parameter_fault(path: &str) -> Option<(String, String)> {
    let plain = path.replace("{{", "").replace("}}", "");
    let mut names: Vec<&str> = Vec::new();
    for part in plain.split('{').skip(1) {
        let Some((name, _)) = part.split_once('}') else {
            return Some((
                "has a `{` without its `}`".to_owned(),
                PARAMETERS.to_owned(),
            ));
        };
        let name = name.strip_prefix('*').unwrap_or(name);
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() {
            return Some((
                "has a parameter without a name".to_owned(),
                PARAMETERS.to_owned(),
            ));
        }
        if !name.chars().all(fits) || name.starts_with(|c: char| c.is_ascii_digit()) {
            let fault = format!("has a parameter that cannot be called {}", quoted(name));
            return Some((
                fault,
                "letters, digits and `_`, the first no digit".to_owned(),
            ));
        }
        if names.contains(&name) {
            let fault = format!("has two parameters called `{name}`");
            return Some((fault, "give each a name of its own".to_owned()));
        }
        names.push(name);
    }
    let closed = plain.matches('}').count() == plain.matches('{').count();
    (!closed).then(|| {
        (
            "has a `}` without its `{`".to_owned(),
            PARAMETERS.to_owned(),
        )
    })
}

/// All endpoints of a project, to find those that would take each other's requests.
#[derive(Debug, Default)]
pub(super) struct Endpoints(RefCell<Vec<Endpoint>>);

#[derive(Debug)]
struct Endpoint {
    method: Option<String>,
    path: String,
    owner: String,
    at: Span,
}

impl Endpoint {
    fn shares_a_method(&self, other: &Self) -> bool {
        self.method.is_none() || other.method.is_none() || self.method == other.method
    }

    fn clashes(&self, other: &Self) -> bool {
        let mut router = matchit::Router::new();
        self.shares_a_method(other)
            && router.insert(self.path.as_str(), ()).is_ok()
            && router.insert(other.path.as_str(), ()).is_err()
    }

    fn title(&self) -> String {
        match &self.method {
            Some(method) => format!("{method} {}", self.path),
            None => self.path.clone(),
        }
    }
}

impl Endpoints {
    /// Adds those of one function.
    pub(super) fn add(&self, triggers: &[Placed]) {
        let endpoints = triggers
            .iter()
            .filter_map(|placed| match &placed.trigger.on {
                On::Http(on) => Some(Endpoint {
                    method: on.method.clone(),
                    path: on.path.clone(),
                    owner: format!("function `{}`", placed.trigger.function),
                    at: placed.at.clone(),
                }),
                _ => None,
            });
        self.0.borrow_mut().extend(endpoints);
    }

    /// Adds those of `[events]`, which stands at `at`: they take POST, and OPTIONS for browsers
    /// and for the handshake of CloudEvents.
    pub(super) fn add_events(&self, path: &str, at: &Span) {
        for path in [path.to_owned(), format!("{path}/{{topic}}")] {
            let endpoints = ["POST", "OPTIONS"].map(|method| Endpoint {
                method: Some(method.to_owned()),
                path: path.clone(),
                owner: "`[events]`".to_owned(),
                at: at.clone(),
            });
            self.0.borrow_mut().extend(endpoints);
        }
    }

    /// Reports each endpoint that collides with an earlier one of the text, once.
    pub(super) fn refuse_collisions(self, report: &Report) {
        let mut endpoints = self.0.into_inner();
        endpoints.sort_by_key(|endpoint| endpoint.at.start);
        let mut routers = Routers::default();
        for (index, endpoint) in endpoints.iter().enumerate() {
            if routers.take(endpoint) {
                continue;
            }
            let earlier = if report.is_long() { 0 } else { index };
            let other = (endpoints[..earlier].iter()).find(|it| it.clashes(endpoint));
            report.problem(collision(endpoint, other));
        }
    }
}

fn collision(endpoint: &Endpoint, other: Option<&Endpoint>) -> Problem {
    let problem = Problem::at(
        &endpoint.at,
        format!("the route `{}` collides with another one", endpoint.title()),
    );
    let Some(other) = other else {
        return problem.help("a request could go to either; make the paths differ");
    };
    problem
        .also(&other.at, format!("`{}` of {}", other.title(), other.owner))
        .help("a request could go to either: make the paths or the methods differ")
}

/// One router for each method.
#[derive(Default)]
struct Routers([matchit::Router<()>; METHODS.len()]);

impl Routers {
    /// Inserts an endpoint for its methods; answers whether there was room for it.
    fn take(&mut self, endpoint: &Endpoint) -> bool {
        let wanted = |method: &str| endpoint.method.as_deref().is_none_or(|it| it == method);
        let mut fits = true;
        for (router, method) in self.0.iter_mut().zip(METHODS) {
            if wanted(method) {
                fits &= router.insert(endpoint.path.as_str(), ()).is_ok();
            }
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_cannot_be_routed_say_why() {
        let check = |path: &str, expected: &str| {
            let (fault, help) = fault(path).unwrap_or_else(|| panic!("{path} was accepted"));
            assert!(
                format!("{fault} | {help}").contains(expected),
                "{path}: {fault} | {help}"
            );
        };
        check("photos", "write \"/photos\"");
        check("/a/:id/b", "write \"/a/{id}/b\"");
        check("/a/:id?", "write \"/a/{id}\"");
        check("/files/*", "write \"/files/{*rest}\"");
        check("/{proxy+}", "write \"/{*proxy}\"");
        check("/a/<id>", "write \"/a/{id}\"");
        check("/a/{}", "without a name");
        check("/a/{*}", "without a name");
        check("/a/{id", "`{` without its `}`");
        check("/a/id}", "`}` without its `{`");
        check("/a/{id}/{id}", "two parameters called `id`");
        check("/a/{my id}", "white space");
        check("/a/{my-id}", "cannot be called \"my-id\"");
        check("/a/{x}{y}", "two parameters in one segment");
        check("/a/{*x}/b", "goes on after");
        check("/a?b=c", "query");
        check(&format!("/{}", "a".repeat(limits::MAX_ROUTE)), "too long");
    }

    #[test]
    fn paths_that_can_be_routed_pass() {
        for path in [
            "/",
            "/a",
            "/a/",
            "/a/{id}",
            "/img-{id}.png",
            "/{*rest}",
            "/{{a}}",
            "/ü",
        ] {
            assert_eq!(fault(path), None, "{path}");
        }
    }
}
