use std::{fs, os::unix::fs::PermissionsExt};

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const VARIABLE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER_VARIABLE: &str = "ICECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn open(folder: &Path) -> Vault {
    Vault::open_with(folder, None).unwrap()
}

fn secret(text: &str) -> SecretName {
    text.parse().unwrap()
}

fn key(text: &str) -> KeyName {
    text.parse().unwrap()
}

/// What opening fails with.
fn refusal(folder: &Path, variable: Option<&str>) -> VaultError {
    Vault::open_with(folder, variable).map(drop).unwrap_err()
}

#[test]
fn secrets_survive_and_are_not_readable_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path());
    vault
        .set_secret(&secret("TOKEN"), "s3cr3t-token", NOW)
        .unwrap();
    vault.set_secret(&secret("GONE"), "gone-soon", NOW).unwrap();
    vault
        .set_secret(
            &secret("TOKEN"),
            "s3cr3t-newer",
            NOW.plus(std::time::Duration::from_secs(1)),
        )
        .unwrap();
    assert!(vault.remove_secret(&secret("GONE")).unwrap());
    assert!(!vault.remove_secret(&secret("GONE")).unwrap());
    drop(vault);

    let vault = open(folder.path());
    assert_eq!(
        vault.secret(&secret("TOKEN")).as_deref(),
        Some("s3cr3t-newer")
    );
    assert_eq!(vault.secret(&secret("GONE")), None);
    let names = vault.secret_names();
    assert_eq!(
        names,
        [(secret("TOKEN"), Timestamp::from_millis(1_800_000_001_000))]
    );
    assert_eq!(vault.redact("a s3cr3t-newer b"), "a [secret TOKEN] b");
    for name in ["vault", "vault.key"] {
        let path = folder.path().join(name);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
        assert!(
            !fs::read_to_string(&path).unwrap().contains("s3cr3t"),
            "{name}"
        );
    }
    assert!(!format!("{vault:?}").contains("s3cr3t"));
}

#[test]
fn values_that_no_secret_can_have_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path());
    for value in ["", "a\0b", &"x".repeat(limits::MAX_SECRET + 1)] {
        let refused = vault.set_secret(&secret("TOKEN"), value, NOW);
        assert!(matches!(refused, Err(VaultError::InvalidValue(_))));
    }
    assert_eq!(vault.secret_names(), []);
}

#[test]
fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path());
    let refused = refusal(folder.path(), None).to_string();
    assert!(
        refused.contains(&format!("process {}", std::process::id())),
        "{refused}"
    );
    drop(vault);
    open(folder.path());
}

#[test]
fn the_master_key_must_be_the_right_one() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::open_with(folder.path(), Some(VARIABLE)).unwrap();
    vault.set_secret(&secret("TOKEN"), "value", NOW).unwrap();
    drop(vault);
    assert!(!folder.path().join("vault.key").exists());
    assert!(matches!(
        refusal(folder.path(), Some(OTHER_VARIABLE)),
        VaultError::WrongKey { .. }
    ));
    assert!(matches!(
        refusal(folder.path(), Some("short")),
        VaultError::InvalidKey { .. }
    ));
    assert!(matches!(
        refusal(folder.path(), None),
        VaultError::NoKey { .. }
    ));
    let vault = Vault::open_with(folder.path(), Some(VARIABLE)).unwrap();
    assert_eq!(vault.secret(&secret("TOKEN")).as_deref(), Some("value"));
}

#[test]
fn whatever_is_changed_on_disk_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault");
    let vault = open(folder.path());
    vault.set_secret(&secret("AAAA"), "first", NOW).unwrap();
    vault.set_secret(&secret("BBBB"), "second", NOW).unwrap();
    vault
        .create_key(&key("caller"), KeyKind::Function, NOW)
        .unwrap();
    drop(vault);
    let whole = fs::read_to_string(&path).unwrap();
    let swapped = whole
        .replace("AAAA", "CCCC")
        .replace("BBBB", "AAAA")
        .replace("CCCC", "BBBB");
    for (what, text) in [
        ("cut", whole[..whole.len() / 2].to_owned()),
        ("empty", String::new()),
        ("names swapped", swapped),
        ("kind of a key", whole.replace("\"function\"", "\"admin\"")),
        ("not ours", whole.replacen("wakeful-vault", "something", 1)),
        ("header cut", whole.replacen(" 1 ", " 1\n", 1)),
    ] {
        assert_ne!(text, whole, "{what}");
        fs::write(&path, text).unwrap();
        let refused = refusal(folder.path(), None);
        assert!(
            matches!(refused, VaultError::Damaged { .. }),
            "{what}: {refused}"
        );
    }
    fs::write(&path, whole.replacen(" 1 ", " 2 ", 1)).unwrap();
    assert!(matches!(
        refusal(folder.path(), None),
        VaultError::Newer {
            found: 2,
            supported: 1,
            ..
        }
    ));
    fs::write(&path, whole).unwrap();
    open(folder.path());
}

/// A vault that version 1 of the format wrote.
#[test]
fn version_1_is_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("vault"), include_str!("version-1.vault")).unwrap();
    let vault = Vault::open_with(folder.path(), Some(VARIABLE)).unwrap();
    assert_eq!(
        vault.secret(&secret("TOKEN")).as_deref(),
        Some("value of version 1")
    );
    let caller = vault.verify_function_key("wk_8pdMQTBB-HpwFn8wzLLlYtq6_h0yFvk77vx2CUqE8Pk");
    assert_eq!(caller, Some(key("caller")));
    let kinds: Vec<_> = vault.keys().into_iter().map(|key| key.kind).collect();
    assert_eq!(kinds, [KeyKind::Admin, KeyKind::Function]);
    let pair = vault.project_credentials(NOW).unwrap();
    assert_eq!(pair.access_key, "WAKEBHHLAAHUHJ4T3JAC");
}

#[test]
fn a_failed_write_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path());
    vault.set_secret(&secret("TOKEN"), "before", NOW).unwrap();
    // A folder in the place of the file: nothing can be renamed onto it, not even by root.
    fs::remove_file(folder.path().join("vault")).unwrap();
    fs::create_dir_all(folder.path().join("vault/inside")).unwrap();
    let failed = vault.set_secret(&secret("TOKEN"), "after", NOW);
    assert!(matches!(failed, Err(VaultError::Io { .. })));
    assert_eq!(vault.secret(&secret("TOKEN")).as_deref(), Some("before"));
}

#[test]
fn project_credentials_stay_and_function_credentials_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let thumbnail: FunctionName = "thumbnail".parse().unwrap();
    let vault = open(folder.path());
    let project = vault.project_credentials(NOW).unwrap();
    assert_eq!(
        (project.access_key.len(), project.secret_key.len()),
        (20, 40)
    );
    assert!(project.access_key.starts_with("WAKE"));
    let function = vault.function_credentials(&thumbnail).unwrap();
    assert_eq!(vault.function_credentials(&thumbnail).unwrap(), function);
    assert_eq!(
        vault.identify(&project.access_key),
        Some((Principal::Project, project.clone()))
    );
    assert_eq!(
        vault.identify(&function.access_key),
        Some((Principal::Function(thumbnail.clone()), function.clone()))
    );
    assert_eq!(vault.identify("WAKENOBODY"), None);
    drop(vault);

    let vault = open(folder.path());
    assert_eq!(vault.project_credentials(NOW).unwrap(), project);
    assert_eq!(vault.identify(&function.access_key), None);
    assert_ne!(vault.function_credentials(&thumbnail).unwrap(), function);
}

#[test]
fn admin_keys() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path());
    let first = vault.ensure_admin_key(NOW).unwrap().unwrap();
    assert_eq!(vault.ensure_admin_key(NOW).unwrap(), None);
    let session = vault.session_key().unwrap();
    let caller = vault
        .create_key(&key("caller"), KeyKind::Function, NOW)
        .unwrap();
    assert!(vault.verify_admin_key(&first) && vault.verify_admin_key(&session));
    for wrong in ["", "admin", caller.as_str(), &first[..first.len() - 1]] {
        assert!(!vault.verify_admin_key(wrong), "{wrong}");
    }
    drop(vault);

    let vault = open(folder.path());
    assert!(vault.verify_admin_key(&first) && !vault.verify_admin_key(&session));
    // Whoever removed the last one gets a new one at the next start.
    assert!(vault.remove_key(&key("admin")).unwrap());
    assert!(!vault.verify_admin_key(&first));
    assert!(vault.ensure_admin_key(NOW).unwrap().is_some());
}

#[test]
fn function_keys() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path());
    let one = vault
        .create_key(&key("one"), KeyKind::Function, NOW)
        .unwrap();
    let two = vault
        .create_key(&key("two"), KeyKind::Function, NOW)
        .unwrap();
    let admin = vault.create_key(&key("boss"), KeyKind::Admin, NOW).unwrap();
    assert!(one.starts_with("wk_") && one.len() == 46, "{one}");
    assert!(matches!(
        vault.create_key(&key("one"), KeyKind::Function, NOW),
        Err(VaultError::KeyExists(_))
    ));
    drop(vault);

    let vault = open(folder.path());
    assert_eq!(vault.verify_function_key(&one), Some(key("one")));
    assert_eq!(vault.verify_function_key(&two), Some(key("two")));
    assert_eq!(vault.verify_function_key(&admin), None);
    assert!(vault.remove_key(&key("one")).unwrap());
    assert!(!vault.remove_key(&key("one")).unwrap());
    assert_eq!(vault.verify_function_key(&one), None);
    let text = fs::read_to_string(folder.path().join("vault")).unwrap();
    assert!(!text.contains(&two[3..]) && !text.contains(&admin[4..]));
}

#[test]
fn a_full_vault_says_so_and_still_takes_new_values() {
    let mut document = Document::default();
    let entry = Entry {
        updated_at: NOW,
        sealed: master::MasterKey::from_variable(VARIABLE)
            .unwrap()
            .seal("x", b"y")
            .unwrap(),
    };
    for n in 0..limits::MAX_VAULT_ENTRIES {
        document
            .secrets
            .insert(secret(&format!("S{n}")), entry.clone());
    }
    assert!(check_room(document.secrets.len(), true, "secrets").is_ok());
    assert!(matches!(
        check_room(document.secrets.len(), false, "secrets"),
        Err(VaultError::Full { .. })
    ));
}
