//! Content types of users' files, guessed from their names: a few common ones, else none.

/// Extension (lower case) and media type in common use, sorted by extension.
const TYPES: [(&str, &str); 35] = [
    ("avif", "image/avif"),
    ("bin", "application/octet-stream"),
    ("bz2", "application/x-bzip2"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/vnd.microsoft.icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("md", "text/markdown"),
    ("mjs", "text/javascript"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("parquet", "application/vnd.apache.parquet"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("toml", "application/toml"),
    ("txt", "text/plain"),
    ("wasm", "application/wasm"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    ("woff2", "font/woff2"),
    ("xml", "application/xml"),
    ("yaml", "application/yaml"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

/// The media type that a key's extension stands for.
pub(super) fn guess(key: &str) -> Option<&'static str> {
    let name = key.rsplit('/').next()?;
    let (stem, extension) = name.rsplit_once('.')?;
    if stem.is_empty() {
        return None;
    }
    let extension = extension.to_ascii_lowercase();
    TYPES
        .binary_search_by(|(known, _)| (*known).cmp(extension.as_str()))
        .ok()
        .map(|index| TYPES[index].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_extensions_and_nothing_else() {
        assert!(TYPES.is_sorted());
        assert_eq!(guess("a/b.d/photo.JPG"), Some("image/jpeg"));
        assert_eq!(guess("a/index.html"), Some("text/html"));
        for key in ["a/b", "html", ".html", "x.html/y", "x.", "x.unknown"] {
            assert_eq!(guess(key), None, "{key}");
        }
    }
}
