//! Compose: one object out of up to 32, without reading a byte.
//!
//! Source: <https://cloud.google.com/storage/docs/json_api/v1/objects/compose>.

use super::answer::Answer;
use super::change::Draft;
use super::conditions::{Conditions, number};
use super::error::{Failure, Result};
use super::request::ObjectName;
use super::resource::Given;
use super::{Context, Frontend, read_json};
use crate::store::{Algorithm, Content, Generation};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use s3s::Body;
use serde_json::Value;

/// Most sources of one request.
const MOST_SOURCES: usize = 32;

/// A number that the API states as text, or as a number.
fn numeric(value: &Value, name: &str) -> Result<Option<u64>> {
    match value {
        Value::Null => Ok(None),
        Value::Number(found) => Ok(found.as_u64()),
        Value::String(text) => number(name, Some(text)),
        _ => Err(Failure::invalid(format!("Invalid value for {name}"))),
    }
}

impl Frontend {
    pub(crate) async fn compose(
        &self,
        context: &Context,
        target: &ObjectName,
        body: Body,
    ) -> Result<Answer> {
        let request = read_json(body).await?;
        let given = Given::parse(&request["destination"])?;
        let conditions = Conditions::of_query(&context.query)?;
        self.check_target(target, &conditions)?;
        let wanted = request["sourceObjects"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        if wanted.is_empty() {
            return Err(Failure::required(
                "You must provide at least one source component.",
            ));
        }
        if wanted.len() > MOST_SOURCES {
            return Err(Failure::invalid(format!(
                "The number of source components provided ({}) exceeds the maximum ({MOST_SOURCES})",
                wanted.len()
            )));
        }
        let bucket = self.bucket(&target.bucket)?;
        let mut sources = Vec::with_capacity(wanted.len());
        for source in wanted {
            let key = source["name"]
                .as_str()
                .ok_or_else(|| Failure::required("Required: sourceObjects[].name"))?;
            let generation = numeric(&source["generation"], "generation")?;
            let condition = &source["objectPreconditions"]["ifGenerationMatch"];
            let conditions = Conditions {
                generation_match: numeric(condition, "ifGenerationMatch")?,
                ..Conditions::default()
            };
            let found = bucket
                .lock()
                .generation(key, generation)
                .ok_or_else(|| Failure::no_object(&target.bucket, key))?;
            conditions.check_source(&found)?;
            sources.push(found);
        }
        let draft = self.composed(given, &sources).await?;
        let published = self.publish(context, target, draft, conditions).await?;
        Ok(self.shown(context, target, &published))
    }

    async fn composed(&self, given: Given, sources: &[Generation]) -> Result<Draft> {
        let mut pieces = Vec::with_capacity(sources.len());
        let mut crc32c: Option<Vec<u8>> = None;
        let mut components = 0;
        for source in sources {
            let (content, google) = (&source.object.content, source.google());
            let piece = self
                .store
                .storage
                .duplicate(content, 0..content.len())
                .await?;
            let next = BASE64.decode(&google.crc32c).unwrap_or_default();
            crc32c = match crc32c {
                None => Some(next),
                Some(before) => Algorithm::Crc32c.combine(&before, &next, piece.len()),
            };
            components += google.component_count.unwrap_or(1);
            pieces.push(piece);
        }
        let crc32c = crc32c.unwrap_or_default();
        given.hashes.check(None, &BASE64.encode(&crc32c))?;
        Ok(Draft {
            content: Content::concat(pieces.iter()),
            attributes: given.attributes,
            custom_time: given.custom_time,
            crc32c,
            md5: None,
            component_count: Some(components),
        })
    }
}
