//! Which endpoint a request belongs to.

use std::{collections::HashMap, sync::Arc};

use http::Method;
use wakeful_core::project::{Auth, HttpTrigger, On, Trigger};

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
}

/// All endpoints, by method and path.
#[derive(Default)]
pub struct Router {
    by_method: HashMap<Method, matchit::Router<Arc<Endpoint>>, foldhash::fast::RandomState>,
    any_method: matchit::Router<Arc<Endpoint>>,
}

/// What the router found.
pub enum Routed<'a> {
    /// The endpoint, and the captures of its path (percent-encoded as they came).
    Found(&'a Arc<Endpoint>, matchit::Params<'a, 'a>),
    /// The path exists, but with these methods only.
    OtherMethods(Vec<&'a Method>),
    /// No such path.
    NotFound,
}

impl Router {
    /// The endpoints of these versions. The manifest has refused collisions; should a broken
    /// reload leave two, the first one stands.
    pub fn new(versions: &[Arc<Version>]) -> Self {
        let mut router = Self::default();
        for version in versions {
            for trigger in &version.function.triggers {
                if let On::Http(http) = &trigger.on {
                    router.insert(version, trigger, http);
                }
            }
        }
        router
    }

    fn insert(&mut self, version: &Arc<Version>, trigger: &Trigger, http: &HttpTrigger) {
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
        });
        let routes = match method {
            Some(method) => self.by_method.entry(method).or_default(),
            None => &mut self.any_method,
        };
        if let Err(error) = routes.insert(http.path.clone(), endpoint) {
            tracing::warn!(trigger = %trigger.id, %error, "a route collides and is left out");
        }
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
            return Routed::Found(found.value, found.params);
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
