//! What can be typed after `bucket`, `secret` and `key`.

use std::path::PathBuf;

use clap::{Subcommand, ValueHint};
use wakeful_core::name::{BucketName, KeyName, SecretName};

use super::AskArgs;

/// `bucket`.
#[derive(Debug, Subcommand)]
pub enum BucketCommand {
    /// List the buckets, or the objects of one
    #[command(after_help = "\
Examples:
  wakeful bucket ls
  wakeful bucket ls photos
  wakeful bucket ls photos 2026/")]
    Ls {
        /// The bucket
        bucket: Option<BucketName>,
        /// Only keys that begin with this
        #[arg(default_value = "", hide_default_value = true)]
        prefix: String,
        /// At most this many
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
        limit: u32,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Put a file into a bucket
    #[command(after_help = "\
Examples:
  wakeful bucket put photos cat.jpg
  wakeful bucket put photos cat.jpg --key 2026/cat.jpg
  date | wakeful bucket put notes - --key now.txt")]
    Put {
        /// The bucket
        bucket: BucketName,
        /// The file; `-` is standard input
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// The key [default: the file's name]
        #[arg(long)]
        key: Option<String>,
        /// Its content type [default: by the ending of the key]
        #[arg(long, value_name = "TYPE")]
        content_type: Option<String>,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Get an object out of a bucket
    #[command(after_help = "\
Examples:
  wakeful bucket get photos cat.jpg
  wakeful bucket get photos 2026/cat.jpg /tmp/cat.jpg
  wakeful bucket get thumbnails catalog.json -    to standard output")]
    Get {
        /// The bucket
        bucket: BucketName,
        /// The key
        key: String,
        /// Where to; `-` is standard output [default: the end of the key, here]
        #[arg(value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Remove objects from a bucket
    Rm {
        /// The bucket
        bucket: BucketName,
        /// Their keys
        #[arg(required = true)]
        keys: Vec<String>,
        #[command(flatten)]
        ask: AskArgs,
    },
}

/// `secret`.
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Set a secret; its value is read from standard input or asked for
    #[command(after_help = "\
Examples:
  wakeful secret set API_TOKEN                 asks for the value
  wakeful secret set API_TOKEN < token.txt     one line break at the end is dropped")]
    Set {
        /// Its name
        name: SecretName,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// List the names of all secrets
    List {
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Remove a secret
    Rm {
        /// Its name
        name: SecretName,
        #[command(flatten)]
        ask: AskArgs,
    },
}

/// `key`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key and print it, this once
    #[command(after_help = "\
Examples:
  wakeful key create partner
  wakeful key create laptop --admin
  KEY=$(wakeful key create partner)
  curl -H \"Authorization: Bearer $KEY\" http://127.0.0.1:8080/books")]
    Create {
        /// Its name
        name: KeyName,
        /// For the admin API instead of functions
        #[arg(long)]
        admin: bool,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// List the names of all keys
    List {
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Remove a key, which is refused from then on
    Rm {
        /// Its name
        name: KeyName,
        #[command(flatten)]
        ask: AskArgs,
    },
}
