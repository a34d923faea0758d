use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use moka::{Entry, future::Cache};

/// How long a revocation is remembered: longer than any answer that was asked for before it.
const FORGOTTEN_FOR: Duration = Duration::from_secs(60);
const REMEMBERED: u64 = 100_000;

/// Answers about credentials, by the SHA-256 of the secret. An answer that was asked for before a revocation is never
/// given after it, also when it arrives later.
#[derive(Clone)]
pub struct AnswerCache<T: Clone + Send + Sync + 'static> {
    answers: Cache<[u8; 32], Arc<Answer<T>>>,
    forgotten: Cache<String, u64>,
    generation: Arc<AtomicU64>,
    floor: Arc<AtomicU64>,
}

struct Answer<T> {
    generation: u64,
    credential_id: String,
    value: T,
}

impl<T: Clone + Send + Sync + 'static> AnswerCache<T> {
    /// An empty cache. An answer is believed for so long, at most half a minute.
    #[must_use]
    pub fn new(believed_for: Duration) -> Self {
        let believed_for = believed_for.min(FORGOTTEN_FOR / 2);
        Self {
            answers: Cache::builder().max_capacity(REMEMBERED).time_to_live(believed_for).build(),
            forgotten: Cache::builder().time_to_live(FORGOTTEN_FOR).build(),
            generation: Arc::default(),
            floor: Arc::default(),
        }
    }

    /// The answer, unless it was forgotten.
    pub async fn get(&self, key: &[u8; 32]) -> Option<T> {
        let answer = self.answers.get(key).await?;
        let forgotten_at = self.forgotten.get(&answer.credential_id).await.unwrap_or_default();
        let oldest = forgotten_at.max(self.floor.load(Ordering::SeqCst));
        (answer.generation >= oldest).then(|| answer.value.clone())
    }

    /// To be read before asking, and given to [`AnswerCache::put`].
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Keeps the answer that was asked for at `generation`.
    pub async fn put(&self, key: [u8; 32], generation: u64, credential_id: String, value: T) {
        self.answers.insert(key, Arc::new(Answer { generation, credential_id, value })).await;
    }

    /// Forgets the answers about this credential, also those still under way; `*` means every credential.
    pub async fn forget(&self, credential_id: &str) {
        let next = self.generation.fetch_add(1, Ordering::SeqCst) + 1;
        if credential_id == "*" {
            self.floor.fetch_max(next, Ordering::SeqCst);
        } else {
            let newest = |known: Option<Entry<String, u64>>| {
                std::future::ready(known.map_or(next, |entry| entry.into_value().max(next)))
            };
            self.forgotten.entry_by_ref(credential_id).and_upsert_with(newest).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_asked_for_before_a_revocation_is_not_given_after_it() {
        let cache = AnswerCache::new(Duration::from_secs(10));
        let asked_at = cache.generation();
        cache.forget("key").await;
        cache.put([1; 32], asked_at, "key".to_owned(), "valid").await;
        cache.put([2; 32], asked_at, "other".to_owned(), "valid").await;
        assert_eq!(cache.get(&[1; 32]).await, None);
        assert_eq!(cache.get(&[2; 32]).await, Some("valid"));
        cache.put([1; 32], cache.generation(), "key".to_owned(), "valid again").await;
        assert_eq!(cache.get(&[1; 32]).await, Some("valid again"));
    }

    #[tokio::test]
    async fn forgetting_all_leaves_nothing() {
        let cache = AnswerCache::new(Duration::from_secs(10));
        let asked_at = cache.generation();
        cache.put([1; 32], asked_at, "key".to_owned(), "valid").await;
        cache.forget("*").await;
        cache.put([2; 32], asked_at, "other".to_owned(), "valid").await;
        assert_eq!(cache.get(&[1; 32]).await, None);
        assert_eq!(cache.get(&[2; 32]).await, None);
    }
}
