//! Objects, secrets and keys.

use wakeful_server::{
    addresses::{ADDRESSES_FILE, AddressFile},
    vault::Vault,
};

use super::Scene;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_go_in_and_come_out() {
    let scene = Scene::new().await;
    let image: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(scene.here().join("cat ü.jpg"), &image).unwrap();
    let put = scene.run(&["bucket", "put", "photos", "cat ü.jpg"]).await;
    assert_eq!(put, "photos/cat ü.jpg (293.0 KiB)\n");
    let list = scene.json(&["bucket", "ls", "photos"]).await;
    assert_eq!(list["objects"][0]["content_type"], "image/jpeg");
    assert_eq!(list["objects"][0]["size"], 300_000);
    std::fs::remove_file(scene.here().join("cat ü.jpg")).unwrap();
    scene.run(&["bucket", "get", "photos", "cat ü.jpg"]).await;
    assert_eq!(
        std::fs::read(scene.here().join("cat ü.jpg")).unwrap(),
        image
    );
    let piped = scene
        .run_with(&["bucket", "get", "photos", "cat ü.jpg", "-"], b"")
        .await;
    assert_eq!(piped.stdout, image);

    let noted = scene
        .run_with(
            &["bucket", "put", "photos", "-", "--key", "../a/now.txt"],
            b"now",
        )
        .await;
    assert!(noted.status.success(), "{noted:?}");
    let list = scene.json(&["bucket", "ls", "photos", "../"]).await;
    assert_eq!(list["objects"][0]["key"], "../a/now.txt");
    assert_eq!(list["objects"][0]["content_type"], "text/plain");
    assert_eq!(scene.run(&["bucket", "ls"]).await, "photos\n");
    let odd = "a\nb\tc";
    scene
        .run_with(&["bucket", "put", "photos", "-", "--key", odd], b"x")
        .await;
    let list = scene.run(&["bucket", "ls", "photos", "a"]).await;
    assert!(list.contains("a\\nb\\tc  "), "{list}");
    assert_eq!(
        scene.run(&["bucket", "rm", "photos", odd]).await,
        "photos/a\\nb\\tc removed\n"
    );
    scene
        .run(&["bucket", "rm", "photos", "../a/now.txt", "cat ü.jpg"])
        .await;
    assert_eq!(
        scene.run(&["bucket", "ls", "photos"]).await,
        "No objects.\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_and_keys_with_a_server_and_without() {
    let scene = Scene::new().await;
    let name = "TOKEN".parse().unwrap();
    let set = scene
        .run_with(&["secret", "set", "TOKEN"], b"s3cr3t\n")
        .await;
    assert!(set.status.success(), "{set:?}");
    assert_eq!(
        scene.rig.control.vault.secret(&name).as_deref(),
        Some("s3cr3t")
    );
    assert!(scene.run(&["secret", "list"]).await.contains("TOKEN"));
    scene.run(&["secret", "rm", "TOKEN"]).await;
    assert_eq!(scene.rig.control.vault.secret(&name), None);
    let key = scene.run(&["key", "create", "partner"]).await;
    let known = scene.rig.control.vault.verify_function_key(key.trim());
    assert_eq!(
        known.map(|name| name.to_string()).as_deref(),
        Some("partner")
    );
    assert!(scene.run(&["key", "list"]).await.contains("function"));
    scene.run(&["key", "rm", "partner"]).await;

    // Without a server the vault in the data folder is changed.
    let data = scene.here().join(".wakeful");
    std::fs::remove_file(data.join(ADDRESSES_FILE)).unwrap();
    std::fs::write(scene.here().join("wakeful.toml"), "name = \"x\"\n").unwrap();
    let set = scene
        .run_with(&["secret", "set", "OTHER"], b"two\nlines\n")
        .await;
    assert!(set.status.success(), "{set:?}");
    let key = scene.run(&["key", "create", "laptop", "--admin"]).await;
    assert!(scene.json(&["secret", "list"]).await["secrets"][0]["name"] == "OTHER");
    let vault = Vault::open(&data).unwrap();
    assert_eq!(
        vault.secret(&"OTHER".parse().unwrap()).as_deref(),
        Some("two\nlines")
    );
    assert!(vault.verify_admin_key(key.trim()));
    // Somebody holds the vault, but no server answers.
    let (code, errors) = scene.fail(&["secret", "list"]).await;
    assert_eq!(code, 4, "{errors}");
    drop(vault);
    scene.run(&["secret", "rm", "OTHER"]).await;
    assert_eq!(scene.fail(&["secret", "rm", "OTHER"]).await.0, 1);
}

/// Whoever is still sending hears why it was refused, and not that a pipe broke.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_upload_that_is_refused_says_why() {
    const LARGE: &[u8] = &[7; 32 * 1024 * 1024];
    let scene = Scene::new().await;
    std::fs::write(scene.here().join("large.bin"), LARGE).unwrap();
    for args in [
        &["bucket", "put", "nowhere", "large.bin"][..],
        &["bucket", "put", "nowhere", "-", "--key", "k"],
    ] {
        let output = scene.run_with(args, LARGE).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains("there is no bucket `nowhere`"), "{errors}");
    }
    // A client that does not ask first.
    let file = AddressFile::read(&scene.here().join(".wakeful").join(ADDRESSES_FILE));
    let admin = file.unwrap().unwrap().admin;
    let key = scene.rig.key.clone();
    let put = move || {
        let url = format!("http://{admin}/v1/buckets/nowhere/objects/k");
        let request = ureq::put(url).header("authorization", format!("Bearer {key}"));
        let request = request
            .config()
            .http_status_as_error(false)
            .proxy(None)
            .build();
        request.send(LARGE).unwrap().status().as_u16()
    };
    assert_eq!(tokio::task::spawn_blocking(put).await.unwrap(), 404);
}
