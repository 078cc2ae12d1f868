//! Webhooks that a site sends after each change, as Jira Cloud does: signed, named, sent again where they are refused for a
//! while. On the way they may be lost, doubled, late or out of order, as real ones are.
//!
//! What must hold: what goes wrong is drawn from the seed, so that a test can be played again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::Sha256;
use tokio::sync::mpsc;

use super::seed::{Dice, Purpose};

/// So often a webhook is sent again.
const RETRIES: u32 = 5;
/// How long webhooks that are sent out of order are held, to be mixed.
const MIXED_FOR: Duration = Duration::from_millis(50);

/// Where a site sends webhooks, and what goes wrong on the way.
#[derive(Clone, Debug)]
pub struct Webhooks {
    /// Where to.
    pub url: String,
    /// What they are signed with; unsigned where there is none.
    pub secret: Option<SecretString>,
    /// The share that is lost.
    pub dropped: f64,
    /// The share that is sent twice.
    pub doubled: f64,
    /// Whether those of one moment are mixed.
    pub unordered: bool,
    /// Each is held for up to so long.
    pub late: Duration,
    /// The wait before one that was refused for a while is sent again; Jira takes 5 to 15 minutes.
    pub retry: Duration,
}

impl Webhooks {
    /// Webhooks to an address, on which nothing goes wrong.
    pub fn to(url: impl Into<String>, secret: Option<SecretString>) -> Self {
        let (late, retry) = (Duration::ZERO, Duration::from_secs(1));
        Self { url: url.into(), secret, dropped: 0.0, doubled: 0.0, unordered: false, late, retry }
    }
}

/// What became of webhooks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WebhookStats {
    /// Changes that were to be announced.
    pub announced: u64,
    /// Requests that were answered with 2xx.
    pub taken: u64,
    /// Requests that were answered otherwise, or not at all.
    pub refused: u64,
    /// Webhooks that were lost on purpose.
    pub dropped: u64,
    /// Webhooks that are still under way.
    pub under_way: u64,
}

#[derive(Debug, Default)]
struct Counters {
    announced: AtomicU64,
    taken: AtomicU64,
    refused: AtomicU64,
    dropped: AtomicU64,
    under_way: AtomicU64,
}

/// One webhook to be sent.
#[derive(Clone, Debug)]
struct Parcel {
    number: u64,
    body: Vec<u8>,
}

/// The sender of a site; what is sent ends with it.
#[derive(Debug)]
pub(super) struct Sender {
    queue: mpsc::UnboundedSender<Parcel>,
    counters: Arc<Counters>,
}

impl Sender {
    /// Begins to send.
    pub fn start(seed: u64, how: Webhooks) -> Self {
        let (queue, parcels) = mpsc::unbounded_channel();
        let counters = Arc::new(Counters::default());
        tokio::spawn(send_all(seed, Arc::new(how), parcels, Arc::clone(&counters)));
        Self { queue, counters }
    }

    /// Announces what Jira says of a change.
    pub fn announce(&self, body: &Value) {
        let number = self.counters.announced.fetch_add(1, Ordering::SeqCst);
        self.counters.under_way.fetch_add(1, Ordering::SeqCst);
        if self.queue.send(Parcel { number, body: serde_json::to_vec(body).unwrap_or_default() }).is_err() {
            self.counters.under_way.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// What became of them.
    pub fn stats(&self) -> WebhookStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        WebhookStats {
            under_way: count(&self.counters.under_way),
            announced: count(&self.counters.announced),
            taken: count(&self.counters.taken),
            refused: count(&self.counters.refused),
            dropped: count(&self.counters.dropped),
        }
    }
}

/// Sends what is announced until nobody can announce anything any more.
async fn send_all(
    seed: u64,
    how: Arc<Webhooks>,
    mut parcels: mpsc::UnboundedReceiver<Parcel>,
    counters: Arc<Counters>,
) {
    let Ok(client) = crate::tls::client().timeout(Duration::from_secs(10)).build() else { return };
    while let Some(first) = parcels.recv().await {
        let mut batch = vec![first];
        if how.unordered {
            tokio::time::sleep(MIXED_FOR).await;
        }
        while let Ok(next) = parcels.try_recv() {
            batch.push(next);
        }
        if how.unordered {
            let mut dice = Dice::new(seed, Purpose::Webhook, batch[0].number, 1);
            for at in (1..batch.len()).rev() {
                batch.swap(at, dice.index(at + 1));
            }
        }
        for parcel in batch {
            let mut dice = Dice::new(seed, Purpose::Webhook, parcel.number, 0);
            if dice.chance(how.dropped) {
                counters.dropped.fetch_add(1, Ordering::SeqCst);
                counters.under_way.fetch_sub(1, Ordering::SeqCst);
                continue;
            }
            let (times, wait) = (if dice.chance(how.doubled) { 2 } else { 1 }, how.late.mul_f64(dice.fraction()));
            let waits = how.unordered || !how.late.is_zero();
            let (client, how, counters) = (client.clone(), Arc::clone(&how), Arc::clone(&counters));
            let sent = async move {
                tokio::time::sleep(wait).await;
                for _ in 0..times {
                    deliver(&client, &how, &parcel, &counters).await;
                }
                counters.under_way.fetch_sub(1, Ordering::SeqCst);
            };
            match waits {
                true => drop(tokio::spawn(sent)),
                false => sent.await,
            }
        }
    }
}

/// Sends one, and again while it is refused in a way that passes.
async fn deliver(client: &reqwest::Client, how: &Webhooks, parcel: &Parcel, counters: &Counters) {
    for retry in 0..=RETRIES {
        let mut request = client
            .post(&how.url)
            .header("content-type", "application/json")
            .header("x-atlassian-webhook-identifier", format!("delivery-{}", parcel.number))
            .header("x-atlassian-webhook-retry", retry.to_string());
        if let Some(signature) = how.secret.as_ref().and_then(|secret| sign(secret, &parcel.body)) {
            request = request.header("x-hub-signature", signature);
        }
        let status = request.body(parcel.body.clone()).send().await.map(|answer| answer.status().as_u16());
        match status {
            Ok(200..300) => {
                counters.taken.fetch_add(1, Ordering::SeqCst);
                return;
            }
            Ok(408 | 409 | 425 | 429 | 500..600) | Err(_) => {
                counters.refused.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(how.retry).await;
            }
            Ok(_) => {
                counters.refused.fetch_add(1, Ordering::SeqCst);
                return;
            }
        }
    }
}

/// The header's value, as Jira writes it.
fn sign(secret: &SecretString, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).ok()?;
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("sha256={hex}"))
}
