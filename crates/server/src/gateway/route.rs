//! Which endpoint a request belongs to.

use std::{collections::HashMap, sync::Arc};

use http::Method;
use wakeful_core::project::{Answer, Auth, EventsEndpoint, HttpTrigger, On, Trigger};

use crate::live::Version;

/// An HTTP endpoint: where its requests go.
pub struct Endpoint {
    /// The version that serves it.
    pub version: Arc<Version>,
    /// The trigger that declared it.
    pub trigger: Trigger,
    /// The export to call.
    pub handler: u16,
    /// Who may call it.
    pub auth: Auth,
    /// Whether its callers wait.
    pub answer: Answer,
}

/// What stands at a path.
enum Place {
    /// A function.
    Function(Arc<Endpoint>),
    /// Where events are taken in.
    Events(Auth),
}

type Places = matchit::Router<Place>;

/// All endpoints, by method and path.
#[derive(Default)]
pub struct Router {
    by_method: HashMap<Method, Places, foldhash::fast::RandomState>,
    any_method: Places,
}

/// What the router found.
pub enum Routed<'a> {
    /// A function's endpoint, and the captures of its path (percent-encoded as they came).
    Function(&'a Arc<Endpoint>, matchit::Params<'a, 'a>),
    /// Where events are taken in from whom this says; the topic, percent-encoded, when the path
    /// names one.
    Events(Auth, Option<&'a str>),
    /// The path exists, but with these methods only.
    OtherMethods(Vec<&'a Method>),
    /// No such path.
    NotFound,
}

/// What the capture of a topic is called.
const TOPIC: &str = "topic";

impl Router {
    /// The endpoints of these versions, and where events are taken in. The manifest has refused
    /// collisions; should a broken reload leave two, the first one stands.
    pub fn new(versions: &[Arc<Version>], events: Option<&EventsEndpoint>) -> Self {
        let mut router = Self::default();
        if let Some(events) = events {
            router.insert_events(events);
        }
        for version in versions {
            for trigger in &version.function.triggers {
                if let On::Http(http) = &trigger.on {
                    router.insert_function(version, trigger, http);
                }
            }
        }
        router
    }

    fn insert_events(&mut self, events: &EventsEndpoint) {
        let path = events.path.trim_end_matches('/');
        let root = if path.is_empty() { "/" } else { path };
        for method in [Method::POST, Method::OPTIONS] {
            for path in [root.to_owned(), format!("{path}/{{{TOPIC}}}")] {
                let places = self.by_method.entry(method.clone()).or_default();
                insert(places, path, Place::Events(events.auth), "[events]");
            }
        }
    }

    fn insert_function(&mut self, version: &Arc<Version>, trigger: &Trigger, http: &HttpTrigger) {
        let Some(handler) = version.handler(trigger.handler.as_ref()) else {
            return;
        };
        let method = http
            .method
            .as_deref()
            .and_then(|name| name.parse::<Method>().ok());
        let endpoint = Arc::new(Endpoint {
            version: Arc::clone(version),
            trigger: trigger.clone(),
            handler,
            auth: http.auth,
            answer: http.answer,
        });
        let places = match method {
            Some(method) => self.by_method.entry(method).or_default(),
            None => &mut self.any_method,
        };
        let place = Place::Function(endpoint);
        insert(places, http.path.clone(), place, trigger.id.as_str());
    }

    /// Finds the endpoint of a request. HEAD falls back to GET.
    pub fn find<'a>(&'a self, method: &Method, path: &'a str) -> Routed<'a> {
        let at = |method: &Method| self.by_method.get(method).and_then(|r| r.at(path).ok());
        let found = at(method)
            .or_else(|| {
                (*method == Method::HEAD)
                    .then(|| at(&Method::GET))
                    .flatten()
            })
            .or_else(|| self.any_method.at(path).ok());
        if let Some(found) = found {
            return match found.value {
                Place::Function(endpoint) => Routed::Function(endpoint, found.params),
                Place::Events(auth) => Routed::Events(*auth, found.params.get(TOPIC)),
            };
        }
        let others = self
            .by_method
            .iter()
            .filter(|(_, routes)| routes.at(path).is_ok());
        let mut others: Vec<&Method> = others.map(|(method, _)| method).collect();
        if others.is_empty() {
            return Routed::NotFound;
        }
        others.sort_by_key(|method| method.as_str());
        Routed::OtherMethods(others)
    }
}

fn insert(places: &mut Places, path: String, place: Place, whose: &str) {
    if let Err(error) = places.insert(path, place) {
        tracing::warn!(%whose, %error, "a route collides and is left out");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_in_below_their_path() {
        let check = |path: &str, method: Method, asked: &str, expected: Option<Option<&str>>| {
            let events = EventsEndpoint {
                path: path.to_owned(),
                auth: Auth::Key,
            };
            let router = Router::new(&[], Some(&events));
            let found = match router.find(&method, asked) {
                Routed::Events(Auth::Key, topic) => Some(topic),
                _ => None,
            };
            assert_eq!(found, expected, "{path} {method} {asked}");
        };
        check("/events", Method::POST, "/events", Some(None));
        check(
            "/events",
            Method::POST,
            "/events/orders.paid",
            Some(Some("orders.paid")),
        );
        check("/events", Method::OPTIONS, "/events", Some(None));
        check("/events", Method::POST, "/events/a/b", None);
        check("/events", Method::POST, "/other", None);
        check(
            "/in/events/",
            Method::POST,
            "/in/events/a%20b",
            Some(Some("a%20b")),
        );
        check("/events", Method::GET, "/events", None);
        let router = Router::new(&[], None);
        assert!(matches!(
            router.find(&Method::POST, "/events"),
            Routed::NotFound
        ));
    }
}
