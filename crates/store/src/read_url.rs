//! A URL by which another service may read one object.

/// Where to read one version of an object, for an hour or less. Whoever has it may read: `Debug` shows nothing of it.
#[derive(Clone)]
pub struct ReadUrl {
    url: String,
    bearer: Option<String>,
    etag: Option<String>,
}

impl std::fmt::Debug for ReadUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadUrl").finish_non_exhaustive()
    }
}

impl ReadUrl {
    /// A URL that needs nothing else.
    pub(crate) fn new(url: String) -> Self {
        ReadUrl {
            url,
            bearer: None,
            etag: None,
        }
    }

    /// With a token that goes beside it.
    pub(crate) fn with_bearer(mut self, bearer: Option<String>) -> Self {
        self.bearer = bearer;
        self
    }

    /// Reading it on condition of this entity tag is understood.
    pub(crate) fn only(mut self, etag: &str) -> Self {
        self.etag = Some(etag.to_owned());
        self
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn bearer(&self) -> Option<&str> {
        self.bearer.as_deref()
    }

    pub(crate) fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }
}
