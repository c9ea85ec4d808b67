//! The example application, end to end: photos dropped in a bucket, requests, rows and a clock.

mod support;

use std::{fs, process::Command};

use support::{Project, Server, root};

fn thumbnails(server: &Server<'_>) -> Vec<String> {
    let listed = server.json(&["bucket", "ls", "thumbnails"]);
    let objects = if listed.is_array() {
        listed
    } else {
        listed["objects"].clone()
    };
    let objects = objects.as_array().cloned().unwrap_or_default();
    objects
        .iter()
        .map(|object| object["key"].as_str().unwrap().to_owned())
        .collect()
}

fn catalog(server: &Server<'_>) -> Option<serde_json::Value> {
    let output = server.cli(&["bucket", "get", "thumbnails", "catalog.json", "-"]);
    serde_json::from_slice(&output.stdout).ok()
}

fn names(catalog: &serde_json::Value) -> Vec<&str> {
    let photos = if catalog.is_array() {
        catalog
    } else {
        &catalog["photos"]
    };
    photos
        .as_array()
        .unwrap()
        .iter()
        .map(|photo| photo["name"].as_str().unwrap())
        .collect()
}

fn sqlite(project: &Project, sql: &str) -> String {
    let file = project.path().join("data/shop.db");
    let output = Command::new("sqlite3")
        .arg("-cmd")
        .arg(".timeout 20000")
        .arg(file)
        .arg(sql)
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_photo_a_request_a_row_and_a_clock_each_run_a_function() {
    let project = Project::example("photos");
    let server = project.dev();
    let images = root().join("examples/photos/images");
    let mut keys: Vec<String> = fs::read_dir(&images)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    keys.sort();
    assert!(keys.len() >= 3);

    // A photo dropped in a bucket: its thumbnail, its row, and the catalog made of the rows.
    for key in &keys {
        let file = images.join(key);
        let put = server.cli(&["bucket", "put", "photos", file.to_str().unwrap()]);
        assert!(put.status.success(), "{put:?}");
    }
    server.until("every photo is in the catalog", || {
        let found = catalog(&server)?;
        let mut found: Vec<String> = names(&found).into_iter().map(str::to_owned).collect();
        found.sort();
        (found == keys).then_some(())
    });
    for key in &keys {
        assert!(thumbnails(&server).contains(key), "{key} has no thumbnail");
    }

    // A request: the list, an image as it was put, an upload, and what is not there.
    let (status, list) = server.curl("/photos", &["-H", "accept: application/json"]);
    assert_eq!(status, 200);
    let encoded: Vec<String> = keys.iter().map(|key| percent_encoded(key)).collect();
    for (key, path) in keys.iter().zip(&encoded) {
        assert!(
            list.contains(&serde_json::to_string(key).unwrap()),
            "{key} is not in {list}"
        );
        let out = project.path().with_file_name("image");
        let (status, _) = server.curl(&format!("/photos/{path}"), &["-o", out.to_str().unwrap()]);
        assert_eq!(status, 200);
        assert!(
            fs::read(&out).unwrap() == fs::read(images.join(key)).unwrap(),
            "{key} differs"
        );
    }
    assert_eq!(server.curl("/photos/none.jpg", &[]).0, 404);
    let upload = images.join(&keys[0]);
    let uploaded = server.curl("/photos/uploaded.jpg", &["-T", upload.to_str().unwrap()]);
    assert_eq!(uploaded.0, 201, "{uploaded:?}");
    server.until("the upload has a thumbnail", || {
        thumbnails(&server)
            .contains(&"uploaded.jpg".to_owned())
            .then_some(())
    });

    // The same photo again leaves one row; a row from another program wakes the catalog.
    let again = [
        "bucket",
        "put",
        "photos",
        upload.to_str().unwrap(),
        "--key",
        "uploaded.jpg",
    ];
    assert!(server.cli(&again).status.success());
    server.until("the repetition has run", || {
        (server.runs("thumbnail", "succeeded").len() >= keys.len() + 2).then_some(())
    });
    assert_eq!(
        sqlite(
            &project,
            "select count(*) from photos where name = 'uploaded.jpg'"
        ),
        "1"
    );
    sqlite(&project, "delete from photos where name = 'uploaded.jpg'");
    server.until("the deleted row is out of the catalog", || {
        let found = catalog(&server)?;
        (!names(&found).contains(&"uploaded.jpg")).then_some(())
    });

    // Every run can be looked at, and nothing undeclared was touched.
    let run = &server.runs("thumbnail", "succeeded")[0];
    let shown = server.cli(&["show", run["id"].as_str().unwrap()]);
    assert!(shown.status.success(), "{shown:?}");
    let output = project.output();
    assert!(!output.contains("without saying so"), "{output}");
    assert!(!output.contains("error:"), "{output}");

    let workers = server.children();
    assert_eq!(server.end("-INT").code(), Some(0), "{}", project.output());
    assert!(workers.iter().all(|pid| !support::is_alive(*pid)));
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
