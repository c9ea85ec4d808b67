//! The rules of the specification, case by case, and events that go out and come back.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use wakeful_core::{
    event::{Event, Extension, Extensions},
    id::EventId,
    limits,
    time::Timestamp,
};

use super::*;

const STRUCTURED: &str = "application/cloudevents+json; charset=UTF-8";
const BATCHED: &str = "application/cloudevents-batch+json";

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let field = |(name, value): &(&str, &str)| {
        let name: HeaderName = name.parse().unwrap();
        (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    let mut headers = HeaderMap::new();
    for (name, value) in fields.iter().map(field) {
        headers.append(name, value);
    }
    headers
}

fn json(content_type: &str, body: &str) -> Result<Batch, Refused> {
    let headers = headers(&[("content-type", content_type)]);
    parse(&headers, Bytes::copy_from_slice(body.as_bytes()))
}

fn one(parsed: Result<Batch, Refused>) -> CloudEvent {
    match parsed {
        Ok(Batch::One(event)) => event,
        other => panic!("no single event: {other:?}"),
    }
}

/// A structured event with the required attributes and these members.
fn with(members: &str) -> String {
    let comma = if members.is_empty() { "" } else { "," };
    format!(
        r#"{{"specversion":"1.0","id":"A234-1234-1234","source":"/mycontext","type":"com.example.someevent"{comma}{members}}}"#
    )
}

fn mistakes(parsed: Result<Batch, Refused>) -> Vec<String> {
    match parsed {
        Err(Refused::Mistakes(mistakes)) => mistakes.iter().map(ToString::to_string).collect(),
        other => panic!("no mistakes: {other:?}"),
    }
}

#[test]
fn the_examples_of_the_json_format() {
    let check = |members: &str, content_type: Option<&str>, data: Option<&str>| {
        let event = one(json(STRUCTURED, &with(members)));
        assert_eq!(event.content_type.as_deref(), content_type, "{members}");
        assert_eq!(event.data.as_deref(), data.map(str::as_bytes), "{members}");
    };
    let xml = r#""datacontenttype":"application/xml","data":"<much wow=\"xml\"/>""#;
    check(xml, Some("application/xml"), Some(r#"<much wow="xml"/>"#));
    let object = r#""datacontenttype":"application/json","subject":null,"data":{"a" : [1.5e0]}"#;
    check(object, Some("application/json"), Some(r#"{"a" : [1.5e0]}"#));
    check(r#""data":1.5"#, Some("application/json"), Some("1.5"));
    let text = r#""data":"I'm just a string""#;
    check(
        text,
        Some("application/json"),
        Some(r#""I'm just a string""#),
    );
    check(r#""data":null"#, Some("application/json"), Some("null"));
    let base64 = r#""data_base64":"eyAieHl6IjogMTIzIH0=""#;
    check(base64, None, Some(r#"{ "xyz": 123 }"#));
    check("", None, None);
    check(
        r#""datacontenttype":"text/plain","data":null"#,
        Some("text/plain"),
        None,
    );

    let event = one(json(
        STRUCTURED,
        &with(
            r#""time":"2018-04-05T17:31:00Z","comexampleextension1":"value","comexampleothervalue":5,
               "unsetextension":null,"really":true,"dataschema":"https://example.com/s""#,
        ),
    ));
    assert_eq!(event.time, Some(Timestamp::from_millis(1_522_949_460_000)));
    let expected: Extensions = [
        ("comexampleextension1", Extension::Text("value".into())),
        ("comexampleothervalue", Extension::Integer(5)),
        ("really", Extension::Boolean(true)),
        (
            "dataschema",
            Extension::Text("https://example.com/s".into()),
        ),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    assert_eq!(event.extensions, expected);
}

#[test]
fn every_mistake_is_named_with_its_attribute_and_rule() {
    let check = |text: &str, expected: &[&str]| {
        let mut found = mistakes(json(STRUCTURED, text));
        found.sort();
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{text}: {found}");
        }
        assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
    };
    check(
        "{}",
        &[
            "`id` is required",
            "`source` is required",
            "`specversion` is required",
            "`type` is required",
        ],
    );
    check(
        "[]",
        &[
            "`*` an event must be a JSON object",
            "`id`",
            "`source`",
            "`specversion`",
            "`type`",
        ],
    );
    check(
        r#"{"specversion":"0.3","id":7}"#,
        &["`specversion` must be `1.0`, not `0.3`"],
    );
    check(
        r#"{"specversion":"1.0","id":"","source":"a b","type":7}"#,
        &[
            "`id` must not be empty",
            "`source` must be a URI reference",
            "`type` must be a string",
        ],
    );
    check(
        &with(r#""id":"again""#),
        &["`id` must stand there only once"],
    );
    check(
        &with(r#""data":1,"data":2"#),
        &["`data` must stand there only once"],
    );
    check(
        &with(r#""data":1,"data_base64":"AA==""#),
        &["`data` and `data_base64` must not both"],
    );
    check(
        &with(r#""data_base64":"not base64!""#),
        &["`data_base64` must be a string of base64"],
    );
    check(
        &with(r#""data_base64":7"#),
        &["`data_base64` must be a string of base64"],
    );
    check(
        &with(r#""datacontenttype":"text/plain","data":{}"#),
        &["`data` must be a string when"],
    );
    check(
        &with(r#""datacontenttype":"json""#),
        &["`datacontenttype` must be a media type"],
    );
    check(
        &with(r#""dataschema":"/relative""#),
        &["`dataschema` must be an absolute URI"],
    );
    check(
        &with(r#""time":"yesterday""#),
        &["`time` must be a time of RFC 3339"],
    );
    check(&with(r#""subject":"""#), &["`subject` must not be empty"]);
    check(
        &with(r#""subject":"a\u0000b""#),
        &["`subject` must be without control characters"],
    );
    check(
        &with(r#""subject":"\ud800""#),
        &["`subject` must be text without unpaired"],
    );
    check(
        &with(r#""camelCase":"x""#),
        &["`camelCase` must be named with lower-case"],
    );
    check(&with(r#""a_b":"x""#), &["`a_b` must be named"]);
    check(
        &with(r#""deep":{"a":1}"#),
        &["`deep` must be a string, a boolean or a number"],
    );
    check(
        &with(r#""number":1.5"#),
        &["`number` must be a whole number of 32 bits"],
    );
    check(
        &with(r#""number":2147483648"#),
        &["`number` must be a whole number of 32 bits"],
    );
    let long = "x".repeat(1025);
    let text = with("").replace("A234-1234-1234", &long);
    check(&text, &["`id` must have at most 1024 bytes"]);
    let many = with(&format!(r#""e":"{}""#, "x".repeat(limits::MAX_HEADERS)));
    check(&many, &["`*` attributes must have at most"]);
}

#[test]
fn a_batch_is_read_whole_or_not_at_all() {
    let good = with(r#""data":1"#);
    let check = |body: &str, count: usize| {
        let events = json(BATCHED, body).unwrap().into_events();
        assert_eq!(events.len(), count, "{body}");
    };
    check("[]", 0);
    check(&format!("[{good}, {good}]"), 2);
    let found = mistakes(json(BATCHED, &format!("[{good}, {{}}, 7]")));
    assert!(
        found.contains(&"event 1: `id` is required".to_owned()),
        "{found:?}"
    );
    assert!(found.contains(&"event 2: `*` an event must be a JSON object".to_owned()));
    let many = format!("[{}1]", "1,".repeat(limits::MAX_EVENT_BATCH));
    assert_eq!(
        json(BATCHED, &many),
        Err(Refused::TooMany(limits::MAX_EVENT_BATCH + 1))
    );
    assert!(matches!(json(BATCHED, &good), Err(Refused::Body(_))));
    assert!(matches!(json(BATCHED, "[{]"), Err(Refused::Body(_))));
}

#[test]
fn the_mode_follows_from_the_content_type_and_the_header_fields() {
    let check = |fields: &[(&str, &str)], expected: Mode| {
        assert_eq!(mode(&headers(fields)), expected, "{fields:?}");
    };
    check(
        &[(
            "content-type",
            "Application/CloudEvents+JSON; charset=utf-8",
        )],
        Mode::Structured,
    );
    check(&[("content-type", BATCHED)], Mode::Batch);
    check(
        &[("content-type", "application/cloudevents+avro")],
        Mode::Structured,
    );
    check(
        &[("ce-id", "1"), ("content-type", "text/plain")],
        Mode::Binary,
    );
    check(
        &[("content-type", STRUCTURED), ("ce-id", "1")],
        Mode::Structured,
    );
    check(&[("content-type", "application/json")], Mode::Plain);
    check(
        &[("content-type", "application/cloudevents2+json")],
        Mode::Plain,
    );
    check(&[], Mode::Plain);

    for content_type in [
        "application/cloudevents",
        "application/cloudevents+avro",
        "application/cloudevents+json; charset=utf-16",
        "application/cloudevents-batch+xml",
    ] {
        let refused = json(content_type, &with("")).unwrap_err();
        assert!(
            matches!(refused, Refused::Media(_)),
            "{content_type}: {refused:?}"
        );
    }
    assert_eq!(json("application/json", &with("")), Err(Refused::Plain));
}

const REQUIRED: [(&str, &str); 4] = [
    ("ce-specversion", "1.0"),
    ("CE-ID", "1"),
    ("ce-source", "/s"),
    ("ce-type", "t"),
];

fn in_headers(more: &[(&str, &str)], body: &'static str) -> Result<Batch, Refused> {
    let fields: Vec<(&str, &str)> = REQUIRED.iter().chain(more).copied().collect();
    parse(&headers(&fields), Bytes::from_static(body.as_bytes()))
}

#[test]
fn binary_mode_reads_header_fields() {
    let event = one(in_headers(
        &[
            ("ce-subject", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
            ("ce-myext", "\"quoted \\\" text\""),
            ("content-type", "text/plain; charset=utf-8"),
            ("cell", "not an attribute"),
        ],
        "hello",
    ));
    assert_eq!(event.subject.as_deref(), Some("Euro € 😀"));
    let text = Extension::Text("quoted \" text".to_owned());
    assert_eq!(
        event.extensions,
        Extensions::from([("myext".to_owned(), text)])
    );
    assert_eq!(
        event.content_type.as_deref(),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(event.data.as_deref(), Some(&b"hello"[..]));
    assert_eq!(one(in_headers(&[], "")).data, None);

    let check = |more: &[(&str, &str)], body, expected: &str| {
        let found = mistakes(in_headers(more, body));
        assert!(
            found.len() == 1 && found[0].contains(expected),
            "{more:?}: {found:?}"
        );
    };
    check(&[("ce-id", "2")], "", "`id` must stand there only once");
    check(
        &[("ce-datacontenttype", "a/b")],
        "",
        "`datacontenttype` is said by",
    );
    check(&[("ce-data", "x")], "", "`data` must be named");
    check(&[("ce-my_ext", "x")], "", "`my_ext` must be named");
    check(&[("ce-subject", "%C0%A0")], "", "`subject` must be UTF-8");
    check(&[("ce-time", "now")], "", "`time` must be");
    check(
        &[("content-type", "application/json")],
        "{",
        "`data` must be JSON",
    );
    check(
        &[("content-type", "x")],
        "",
        "`datacontenttype` must be a media type",
    );
}

#[test]
fn a_payload_has_a_most() {
    let large = vec![b'x'; usize::try_from(limits::MAX_BODY).unwrap() + 1];
    let refused = parse(&headers(&REQUIRED), large.into()).unwrap_err();
    assert!(matches!(refused, Refused::TooLarge { event: None, .. }));
}

fn texts() -> impl Strategy<Value = String> {
    "\\PC{1,20}".prop_filter("no noncharacters", |text| rules::text(text).is_ok())
}

fn events() -> impl Strategy<Value = Event> {
    let extension = prop_oneof![
        any::<bool>().prop_map(Extension::Boolean),
        any::<i32>().prop_map(Extension::Integer),
        texts().prop_map(Extension::Text),
    ];
    let name = "[a-z0-9]{1,8}".prop_filter("not of the core", |name| {
        let core = [
            "data",
            "id",
            "source",
            "type",
            "time",
            "subject",
            "specversion",
        ];
        !core.contains(&name.as_str())
    });
    let data = prop_oneof![
        any::<i64>().prop_map(|n| (
            "application/json".to_owned(),
            format!("{{\"n\": {n}}}").into()
        )),
        Just((
            "application/vnd.x+json".to_owned(),
            Bytes::from_static(b"[\"\\u00e4\", null]")
        )),
        proptest::collection::vec(any::<u8>(), 1..40)
            .prop_map(|bytes| ("application/octet-stream".to_owned(), bytes.into())),
        Just((
            "text/plain; charset=utf-8".to_owned(),
            Bytes::from_static("grün".as_bytes())
        )),
    ];
    let time = 0i64..4_102_444_800_000;
    let extensions = proptest::collection::btree_map(name, extension, 0..4);
    (
        texts(),
        texts(),
        proptest::option::of(texts()),
        time,
        data,
        extensions,
    )
        .prop_map(
            |(id, kind, subject, time, (content_type, data), extensions)| Event {
                key: EventId::from_raw(1),
                origin: "topic:t".parse().unwrap(),
                id,
                source: "/shop/dev/topic/%C3%BC?x=1".to_owned(),
                kind,
                subject,
                time: Timestamp::from_millis(time),
                content_type,
                data,
                extensions,
                lineage: Default::default(),
            },
        )
}

fn assert_same(event: &Event, found: &CloudEvent, extensions: &Extensions) {
    assert_eq!(found.id, event.id);
    assert_eq!(found.source, event.source);
    assert_eq!(found.kind, event.kind);
    assert_eq!(found.subject, event.subject);
    assert_eq!(found.time, Some(event.time));
    assert_eq!(found.content_type.as_ref(), Some(&event.content_type));
    assert_eq!(found.data.as_ref(), Some(&event.data));
    assert_eq!(&found.extensions, extensions);
}

proptest! {
    #[test]
    fn every_event_survives_each_mode(event in events()) {
        let written = structured(&event);
        let found = one(parse(&written.headers, written.body.clone()));
        assert_same(&event, &found, &event.extensions);

        let array = [b"[", &*written.body, b"]"].concat();
        let batch = parse(&headers(&[("content-type", BATCHED)]), array.into()).unwrap();
        assert_same(&event, &batch.into_events()[0], &event.extensions);

        // Header fields have no types: what arrives are the canonical texts.
        let written = binary(&event);
        let found = one(parse(&written.headers, written.body));
        let canonical = |value: &Extension| match value {
            Extension::Boolean(value) => Extension::Text(value.to_string()),
            Extension::Integer(value) => Extension::Text(value.to_string()),
            Extension::Text(text) => Extension::Text(text.clone()),
        };
        let extensions = event.extensions.iter();
        let extensions = extensions.map(|(name, value)| (name.clone(), canonical(value)));
        assert_same(&event, &found, &extensions.collect());
    }

    #[test]
    fn anything_is_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..100), text in "[\\[{}\\]\":,a-z0-9 ]{0,60}") {
        for content_type in [STRUCTURED, BATCHED] {
            let headers = headers(&[("content-type", content_type)]);
            let _ = parse(&headers, body.clone().into());
            let _ = parse(&headers, text.clone().into());
        }
    }
}
