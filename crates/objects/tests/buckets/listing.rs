//! Listings, against the plainest model of them.

use std::collections::BTreeSet;

use proptest::test_runner::{Config, TestRunner};
use wakeful_objects::{ListQuery, Listing};

use crate::support::{World, bucket};

async fn all_pages(world: &World, query: &ListQuery) -> Vec<Listing> {
    let mut pages = vec![];
    let mut query = query.clone();
    loop {
        let page = world.buckets.list(&bucket(), query.clone()).await.unwrap();
        assert!(page.objects.len() + page.prefixes.len() <= query.limit);
        query.after = page.next.clone();
        let last = page.next.is_none();
        pages.push(page);
        if last {
            return pages;
        }
        assert!(pages.len() < 200, "the listing does not come to an end");
    }
}

/// What S3 says should be listed: (keys, prefixes).
fn expected(keys: &BTreeSet<String>, query: &ListQuery) -> (Vec<String>, Vec<String>) {
    let mut objects = vec![];
    let mut prefixes = BTreeSet::new();
    for key in keys {
        let after = query.after.as_ref().is_none_or(|after| key > after);
        let Some(rest) = key.strip_prefix(query.prefix.as_str()).filter(|_| after) else {
            continue;
        };
        match query
            .delimiter
            .as_ref()
            .and_then(|d| Some(rest.find(d.as_str())? + d.len()))
        {
            Some(end) => {
                prefixes.insert(format!("{}{}", query.prefix, &rest[..end]));
            }
            None => objects.push(key.clone()),
        }
    }
    if let Some(after) = &query.after {
        prefixes.remove(after);
    }
    (objects, prefixes.into_iter().collect())
}

async fn check(world: &World, keys: &BTreeSet<String>, queries: &[ListQuery]) {
    for key in keys {
        world.put(key, "x").await.unwrap();
    }
    for query in queries {
        let pages = all_pages(world, query).await;
        let objects: Vec<_> = pages
            .iter()
            .flat_map(|page| &page.objects)
            .map(|object| object.key.clone())
            .collect();
        let prefixes: Vec<_> = pages
            .iter()
            .flat_map(|page| page.prefixes.clone())
            .collect();
        assert_eq!((objects, prefixes), expected(keys, query), "{query:?}");
    }
    for key in keys {
        world.buckets.remove(&bucket(), key).await.unwrap();
    }
}

#[tokio::test]
async fn folding_and_paging() {
    let keys: BTreeSet<String> = [
        "a",
        "a/1",
        "a/2",
        "a/b/3",
        "b",
        "c/1",
        "c/2",
        "d",
        "a/\u{10ffff}",
    ]
    .map(str::to_owned)
    .into();
    let mut queries = vec![];
    for limit in 1..6 {
        for delimiter in [None, Some("/"), Some("/b"), Some("no")] {
            for prefix in ["", "a", "a/", "c/", "zz"] {
                for after in [None, Some("a/"), Some("a/1"), Some("c/"), Some("zz")] {
                    queries.push(ListQuery {
                        prefix: prefix.to_owned(),
                        delimiter: delimiter.map(str::to_owned),
                        after: after.map(str::to_owned),
                        limit,
                    });
                }
            }
        }
    }
    check(&World::new(), &keys, &queries).await;
}

#[tokio::test]
async fn no_limit_no_entries() {
    let world = World::new();
    world.put("k", "x").await.unwrap();
    let list = |limit, prefix: &str| {
        let query = ListQuery {
            limit,
            prefix: prefix.to_owned(),
            ..ListQuery::default()
        };
        let buckets = world.buckets.clone();
        async move { buckets.list(&bucket(), query).await.unwrap() }
    };
    assert_eq!(list(0, "").await, Listing::default());
    assert_eq!(list(10, &"p".repeat(2000)).await, Listing::default());
    assert_eq!(list(usize::MAX, "").await.objects.len(), 1);
}

#[test]
fn pages_together_are_the_whole_listing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let world = World::new();
    let cases = (
        proptest::collection::btree_set("[ab/é]{1,6}", 0..20),
        "[ab/]{0,2}",
        proptest::option::of("/|b|/a"),
        1..7_usize,
    );
    let mut runner = TestRunner::new(Config::with_cases(48));
    let case = |(keys, prefix, delimiter, limit)| {
        let query = ListQuery {
            prefix,
            delimiter,
            after: None,
            limit,
        };
        runtime.block_on(check(&world, &keys, &[query]));
        Ok(())
    };
    runner.run(&cases, case).unwrap();
}
