//! Which runs are traced: `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
//!
//! A run's context is made by SQL and by the scheduler, before any sampler is asked, and says "sampled" always. So a span's
//! parent says nothing about the decision, and the decision is made from the trace id alone: the same for every span of a
//! run in every process, where they are configured alike. The samplers that ask the parent first and those that do not are
//! the same here.

use opentelemetry::trace::{Link, SpanKind, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};

use super::TraceError;

/// The rightmost 56 bits of a trace id are random, as W3C Trace Context level 2 has it. The 8 bits before them are not:
/// PostgreSQL makes trace ids of random UUIDs, which have their variant there.
const RANDOM_BITS: u32 = 56;

/// Takes the traces whose random part reaches a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunSampler {
    threshold: u64,
}

impl RunSampler {
    /// The share of runs that are traced, 0 to 1.
    fn of_share(share: f64) -> Self {
        // The shares that can be told apart are far fewer than the numbers of 56 bits: nothing is lost by the conversion.
        Self { threshold: ((1.0 - share) * (1u64 << RANDOM_BITS) as f64) as u64 }
    }

    /// Reads the values of the two variables.
    pub(super) fn parse(sampler: Option<&str>, argument: Option<&str>) -> Result<Self, TraceError> {
        match sampler.map(|name| name.strip_prefix("parentbased_").unwrap_or(name)) {
            None | Some("always_on") => Ok(Self::of_share(1.0)),
            Some("always_off") => Ok(Self::of_share(0.0)),
            Some("traceidratio") => match argument.map_or(Ok(1.0), str::parse::<f64>) {
                Ok(share) if (0.0..=1.0).contains(&share) => Ok(Self::of_share(share)),
                _ => Err(TraceError::SamplerArgument { found: argument.unwrap_or_default().to_owned() }),
            },
            Some(_) => Err(TraceError::Sampler { found: sampler.unwrap_or_default().to_owned() }),
        }
    }

    fn takes(self, trace_id: TraceId) -> bool {
        let [.., a, b, c, d, e, f, g] = trace_id.to_bytes();
        u64::from_be_bytes([0, a, b, c, d, e, f, g]) >= self.threshold
    }
}

impl ShouldSample for RunSampler {
    fn should_sample(
        &self,
        _parent: Option<&Context>,
        trace_id: TraceId,
        _name: &str,
        _kind: &SpanKind,
        _attributes: &[KeyValue],
        _links: &[Link],
    ) -> SamplingResult {
        let decision = if self.takes(trace_id) { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop };
        SamplingResult { decision, attributes: Vec::new(), trace_state: TraceState::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(sampler: RunSampler) -> f64 {
        let taken = (0..4_000u64)
            .filter(|seed| {
                let (clock, _) = crate::clock::Clock::virtual_at(chrono::DateTime::UNIX_EPOCH, *seed);
                // As PostgreSQL makes them: a random UUID, with version and variant.
                let mut bytes = [0u8; 16];
                clock.fill_random(&mut bytes);
                let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
                sampler.takes(TraceId::from_bytes(id.into_bytes()))
            })
            .count();
        taken as f64 / 4_000.0
    }

    #[test]
    fn the_share_of_runs_that_are_traced_is_the_one_asked_for() {
        for (argument, expected) in [("0", 0.0), ("0.1", 0.1), ("0.5", 0.5), ("0.9", 0.9), ("1", 1.0)] {
            for name in ["traceidratio", "parentbased_traceidratio"] {
                let found = share(RunSampler::parse(Some(name), Some(argument)).unwrap());
                assert!((found - expected).abs() < 0.03, "{name} {argument}: {found}");
            }
        }
        for (name, expected) in [(None, 1.0), (Some("parentbased_always_on"), 1.0), (Some("always_off"), 0.0)] {
            assert!((share(RunSampler::parse(name, None).unwrap()) - expected).abs() < f64::EPSILON, "{name:?}");
        }
    }

    #[test]
    fn a_sampler_that_cannot_be_read_is_refused_with_those_that_can() {
        let refused = |name, argument| RunSampler::parse(Some(name), argument).unwrap_err().to_string();
        assert!(refused("xray", None).contains("xray") && refused("xray", None).contains("parentbased_traceidratio"));
        for argument in ["2", "-0.1", "half", "NaN"] {
            assert!(refused("traceidratio", Some(argument)).contains(argument));
        }
    }
}
