//! The values that a manifest leaves elsewhere: variables of the server, `.env`, secrets.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use wakeful_core::{name::FunctionName, project::Setting};

use crate::{options::Mode, vault::Vault};

/// Where settings are looked up.
pub struct Environment {
    dot_env: HashMap<String, String>,
}

/// A value that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// An environment variable.
    #[error("the environment variable {0} is not set (in `dev` it may stand in .env)")]
    Variable(String),
    /// A secret.
    #[error("the secret {0} is not set: `wakeful secret set {0}`")]
    Secret(String),
}

/// A `.env` file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {cause}")]
pub struct DotEnvError {
    path: String,
    cause: dotenvy::Error,
}

impl Environment {
    /// The server's own variables; in `dev`, those that are not set are looked up in `.env`.
    pub fn read(project: &Path, mode: Mode) -> Result<Self, DotEnvError> {
        let path = project.join(".env");
        if mode == Mode::Serve || !path.is_file() {
            return Ok(Self {
                dot_env: HashMap::new(),
            });
        }
        let failed = |cause| DotEnvError {
            path: path.display().to_string(),
            cause,
        };
        let pairs = dotenvy::from_path_iter(&path).map_err(failed)?;
        let dot_env = pairs.collect::<Result<_, _>>().map_err(failed)?;
        Ok(Self { dot_env })
    }

    /// The value of a setting.
    pub fn value(&self, setting: &Setting, vault: &Vault) -> Result<String, Missing> {
        match setting {
            Setting::Literal(text) => Ok(text.clone()),
            Setting::Env(name) => std::env::var(name)
                .ok()
                .or_else(|| self.dot_env.get(name).cloned())
                .ok_or_else(|| Missing::Variable(name.clone())),
            Setting::Secret(name) => vault
                .secret(name)
                .ok_or_else(|| Missing::Secret(name.to_string())),
        }
    }

    /// The variables of one function, with those by which AWS SDKs find our endpoint.
    pub fn of_function(
        &self,
        function: &FunctionName,
        settings: &BTreeMap<String, Setting>,
        vault: &Vault,
        aws: &AwsEnvironment,
    ) -> Result<BTreeMap<String, String>, Missing> {
        let mut variables = aws.variables(function);
        for (name, setting) in settings {
            variables.insert(name.clone(), self.value(setting, vault)?);
        }
        Ok(variables)
    }
}

/// Where a function's AWS SDK goes, and with which keys.
pub struct AwsEnvironment {
    /// The endpoint, as an IP literal: SDK v3 fails on `localhost`.
    pub endpoint: String,
    /// Access key and secret key of the function.
    pub keys: (String, String),
}

impl AwsEnvironment {
    fn variables(&self, function: &FunctionName) -> BTreeMap<String, String> {
        let pairs = [
            ("AWS_ENDPOINT_URL", self.endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", &self.keys.0),
            ("AWS_SECRET_ACCESS_KEY", &self.keys.1),
            ("AWS_REGION", "us-east-1"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("WAKEFUL_FUNCTION", function.as_str()),
        ];
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }
}
