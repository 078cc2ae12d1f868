//! `nextPageToken`: opaque to clients, a place in a sort order to us.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::seed::{Dice, Purpose};

/// Seven sort values and an id.
pub(super) const WIDTH: usize = 8;

/// A place in the results of one query: the sort values of an issue (descending ones negated), and its id.
pub(super) type Place = [i64; WIDTH];

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not made by this site, altered, or made for another query.
    Undecodable,
    /// Older than its lifetime.
    Expired,
}

/// Words of a token: when it was made, the place, and a check over both and the query.
const WORDS: usize = WIDTH + 2;

/// Makes the token for continuing `jql` after `place`.
pub(super) fn encode(seed: u64, jql: &str, place: &Place, now_ms: i64) -> String {
    let mut words = [0_i64; WORDS];
    words[0] = now_ms;
    words[1..=WIDTH].copy_from_slice(place);
    words[WORDS - 1] = check(seed, jql, &words);
    URL_SAFE_NO_PAD.encode(words.map(i64::to_le_bytes).as_flattened())
}

/// Reads a token that was made for `jql`.
pub(super) fn decode(seed: u64, jql: &str, token: &str, now_ms: i64, lifetime_ms: i64) -> Result<Place, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| Refusal::Undecodable)?;
    let (chunks, rest) = bytes.as_chunks::<8>();
    let words: Vec<i64> = chunks.iter().map(|chunk| i64::from_le_bytes(*chunk)).collect();
    let words: [i64; WORDS] = words.try_into().map_err(|_| Refusal::Undecodable)?;
    if !rest.is_empty() || words[WORDS - 1] != check(seed, jql, &words) {
        return Err(Refusal::Undecodable);
    }
    if now_ms - words[0] > lifetime_ms {
        return Err(Refusal::Expired);
    }
    let mut place = [0; WIDTH];
    place.copy_from_slice(&words[1..=WIDTH]);
    Ok(place)
}

fn check(seed: u64, jql: &str, words: &[i64; WORDS]) -> i64 {
    let start =
        jql.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
    let fold = |hash, word: &i64| Dice::new(seed, Purpose::Token, hash, *word as u64).next();
    words[..WORDS - 1].iter().fold(start, fold) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = [1, -2, 3, 0, 0, 0, 0, 10_001];

    #[test]
    fn a_token_leads_back_to_its_place() {
        let token = encode(7, "project = A", &PLACE, 1_000);
        assert_eq!(decode(7, "project = A", &token, 2_000, 5_000), Ok(PLACE));
    }

    #[test]
    fn altered_foreign_and_old_tokens_are_refused() {
        let token = encode(7, "project = A", &PLACE, 1_000);
        let altered = format!("B{}", &token[1..]);
        assert_eq!(decode(7, "project = A", &altered, 2_000, 5_000), Err(Refusal::Undecodable));
        assert_eq!(decode(7, "project = B", &token, 2_000, 5_000), Err(Refusal::Undecodable));
        assert_eq!(decode(8, "project = A", &token, 2_000, 5_000), Err(Refusal::Undecodable));
        assert_eq!(decode(7, "project = A", "no token", 2_000, 5_000), Err(Refusal::Undecodable));
        assert_eq!(decode(7, "project = A", &token, 6_001, 5_000), Err(Refusal::Expired));
    }
}
