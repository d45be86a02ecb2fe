//! Listings, read with as little as can be: the answer is searched for its elements.

use crate::connection::{Ask, Connection, Endpoint};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use hyper::Method;

/// One page of a listing, as it came.
pub(crate) struct Page(String);

/// An object of a page.
pub(crate) struct Listed<'a> {
    pub(crate) key: &'a str,
    pub(crate) size: u64,
    /// Not every server lists them.
    etag: Option<&'a str>,
}

impl Page {
    /// The objects, in order. Keys are the benchmark's own and need no decoding.
    pub(crate) fn objects(&self) -> impl Iterator<Item = Option<Listed<'_>>> {
        self.0.split("<Contents>").skip(1).map(|object| {
            Some(Listed {
                key: field(object, "Key")?,
                size: field(object, "Size")?.parse().ok()?,
                etag: field(object, "ETag"),
            })
        })
    }

    /// The query for the page behind this one.
    fn next(&self) -> Option<String> {
        let token = field(&self.0, "NextContinuationToken")?;
        let encoded: String = token
            .bytes()
            .map(|byte| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    char::from(byte).to_string()
                }
                _ => format!("%{byte:02X}"),
            })
            .collect();
        Some(format!("continuation-token={encoded}&list-type=2"))
    }
}

/// The text of the first element of this name.
pub(crate) fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = text;
    // Searched by hand: no pattern has to be put together for each object.
    loop {
        rest = &rest[rest.find('<')? + 1..];
        if let Some(found) = rest
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('>'))
        {
            return Some(&found[..found.find('<')?]);
        }
    }
}

/// Walks a bucket page by page.
pub(crate) struct Walk {
    connection: Connection,
    path: String,
    query: Option<String>,
}

impl Walk {
    pub(crate) async fn new(endpoint: &Endpoint, bucket: &str) -> Result<Walk> {
        Ok(Walk {
            connection: endpoint.connect().await?,
            path: format!("/{bucket}"),
            query: Some("list-type=2".into()),
        })
    }

    pub(crate) async fn page(&mut self) -> Result<Option<Page>> {
        let Some(query) = self.query.take() else {
            return Ok(None);
        };
        let ask = Ask {
            method: Method::GET,
            path: &self.path,
            query: &query,
            headers: &[],
        };
        let answer = self.connection.ask(&ask, Bytes::new()).await?;
        let page = Page(String::from_utf8(answer.into()).context("a listing is no text")?);
        self.query = page.next();
        Ok(Some(page))
    }
}

/// Every key, in order.
pub(crate) async fn keys(endpoint: &Endpoint, bucket: &str) -> Result<Vec<String>> {
    let mut walk = Walk::new(endpoint, bucket).await?;
    let mut keys = Vec::new();
    while let Some(page) = walk.page().await? {
        for object in page.objects() {
            keys.push(object.context("an unknown form of listing")?.key.to_owned());
        }
    }
    Ok(keys)
}

/// Lists both sides at once, page against page; any difference in key, size or entity tag is an error.
pub(crate) async fn compare(from: Endpoint, to: Endpoint, bucket: &str) -> Result<()> {
    let (source, destination) = tokio::join!(Walk::new(&from, bucket), Walk::new(&to, bucket));
    let (mut source, mut destination) = (source?, destination?);
    loop {
        let (here, there) = tokio::join!(source.page(), destination.page());
        let (here, there) = match (here?, there?) {
            (Some(here), Some(there)) => (here, there),
            (None, None) => return Ok(()),
            _ => bail!("one side has more pages than the other"),
        };
        let (mut here, mut there) = (here.objects(), there.objects());
        loop {
            match (here.next(), there.next()) {
                (Some(Some(a)), Some(Some(b)))
                    if a.key == b.key && a.size == b.size && a.etag == b.etag => {}
                (None, None) => break,
                (Some(Some(a)), _) => bail!("{} differs", a.key),
                _ => bail!("the listings differ"),
            }
        }
    }
}
