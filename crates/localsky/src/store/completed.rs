//! What recently completed uploads answered, so that a repeated CompleteMultipartUpload answers the same.

use super::{Published, StoredObject};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// How many answers a bucket remembers.
const REMEMBERED: usize = 1_000;

/// A repeated Complete gets the first one's answer, as on S3, until 1,000 more uploads were completed or the store was
/// started anew; then `NoSuchUpload`.
#[derive(Debug, Default)]
pub(crate) struct CompletedUploads {
    order: VecDeque<(String, String)>,
    answers: HashMap<(String, String), Published>,
}

impl CompletedUploads {
    pub(crate) fn remember(&mut self, key: &str, upload_id: &str, answer: Published) {
        let id = (key.to_owned(), upload_id.to_owned());
        // The bytes must not outlive the object.
        let object = StoredObject {
            meta: answer.object.meta.clone(),
            content: Arc::default(),
        };
        let answer = Published {
            object: Arc::new(object),
            ..answer
        };
        self.order.push_back(id.clone());
        self.answers.insert(id, answer);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.answers.remove(&oldest);
        }
    }

    pub(crate) fn answer(&self, key: &str, upload_id: &str) -> Option<Published> {
        self.answers
            .get(&(key.to_owned(), upload_id.to_owned()))
            .cloned()
    }
}
