//! Secrets as they are held, read from files, and put into addresses.

use std::path::Path;

/// Longest file with a secret that is read.
const FILE_LIMIT_BYTES: u64 = 64 << 10;

/// A token that authorises whoever holds it. `Debug` does not show it.
#[derive(Clone)]
pub struct BearerToken(String);

impl BearerToken {
    pub(super) fn new(token: &str) -> Self {
        BearerToken(token.to_owned())
    }

    /// The token itself, for the header `Authorization: Bearer …`. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BearerToken(***)")
    }
}

/// Whether this can be a shared access signature; if not, why.
pub(super) fn check_signature(token: &str) -> Result<(), &'static str> {
    let token = token.trim().trim_start_matches('?');
    if !token
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#')
    {
        return Err("the shared access signature holds characters that no address can hold");
    }
    if !token.split('&').any(|pair| pair.starts_with("sig=")) {
        return Err(
            "the shared access signature has no `sig`: copy it whole, without the address in front",
        );
    }
    Ok(())
}

/// An address with more in its query.
pub(super) fn with_query(url: &str, query: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{query}")
}

/// A small file with a secret, without the space around it.
pub(super) async fn read_file(path: &Path) -> Result<String, String> {
    use tokio::io::AsyncReadExt;
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut text = String::new();
    file.take(FILE_LIMIT_BYTES)
        .read_to_string(&mut text)
        .await
        .map_err(failed)?;
    let text = text.trim();
    if text.is_empty() {
        return Err(format!("{} is empty", path.display()));
    }
    Ok(text.to_owned())
}
