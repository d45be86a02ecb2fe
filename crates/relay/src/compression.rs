//! Compressing only where it pays. What pays is decided by a pure function from what was measured on the stream itself.

use crate::frame::Codec;
use crate::{Error, Result};
use bytes::Bytes;
use skyfresh_sky::{Clock, Kind};
use std::sync::{Mutex, PoisonError};

/// Bytes of a chunk that are tried.
const SAMPLE_BYTES: usize = 128 << 10;
/// Between two samples at least so many bytes go by; eight times as many while nothing pays. A sample costs about a
/// millisecond of a processor, which passes 128 MiB in 50 ms or more: below 2%, and far below while nothing pays.
const SAMPLE_EVERY_BYTES: u64 = 128 << 20;
const ZSTD_LEVEL: i32 = 1;

/// How one codec did on a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// Which.
    pub codec: Codec,
    /// Plain bytes by compressed bytes.
    pub ratio: f64,
    /// Plain bytes that one processor compresses in a second.
    pub bytes_per_second: f64,
}

/// The codec that pays on a hop that carries `hop_bytes_per_second`, with `processors` to compress on.
///
/// A codec pays where the compressed stream is at least a tenth smaller, and compressing keeps up with the hop as it would then
/// be: reading plain bytes at `ratio` times the hop's rate, or at least half as fast again as now. Of those that pay the one with
/// the fastest stream wins; at equal speed, the smaller stream.
pub fn choose(trials: &[Trial], hop_bytes_per_second: f64, processors: f64) -> Codec {
    let speed = |trial: &Trial| {
        (trial.bytes_per_second * processors).min(hop_bytes_per_second * trial.ratio)
    };
    let pays = |trial: &&Trial| {
        trial.ratio >= 1.1 && speed(trial) >= hop_bytes_per_second * trial.ratio.min(1.5)
    };
    trials
        .iter()
        .filter(pays)
        .max_by(|a, b| {
            speed(a)
                .total_cmp(&speed(b))
                .then(a.ratio.total_cmp(&b.ratio))
        })
        .map_or(Codec::None, |trial| trial.codec)
}

/// Tries the codecs on a piece from the middle of `plain`. Where LZ4 finds nothing, Zstandard is not asked.
pub fn sample(plain: &[u8], clock: &dyn Clock) -> Vec<Trial> {
    let start = (plain.len().saturating_sub(SAMPLE_BYTES)) / 2;
    let piece = &plain[start..plain.len().min(start + SAMPLE_BYTES)];
    let mut trials = Vec::new();
    if piece.is_empty() {
        return trials;
    }
    for codec in [Codec::Lz4, Codec::Zstd] {
        let began_ns = clock.monotonic_ns();
        let Ok(packed) = compress(piece, codec) else {
            continue;
        };
        let took_ns = clock.monotonic_ns().saturating_sub(began_ns).max(1);
        let trial = Trial {
            codec,
            ratio: piece.len() as f64 / packed.len().max(1) as f64,
            bytes_per_second: piece.len() as f64 * 1e9 / took_ns as f64,
        };
        trials.push(trial);
        if trial.ratio < 1.02 {
            break;
        }
    }
    trials
}

/// A stream's standing choice, renewed now and then.
#[derive(Debug, Default)]
pub struct Chooser(Mutex<Standing>);

#[derive(Debug, Default)]
struct Standing {
    codec: Codec,
    next_sample_in_bytes: u64,
}

impl Chooser {
    /// The codec for this chunk. `hop_bytes_per_second` is what the slowest hop is measured to carry, `None` while nothing is
    /// known: then nothing is compressed.
    pub fn codec(
        &self,
        plain: &[u8],
        hop_bytes_per_second: Option<f64>,
        clock: &dyn Clock,
    ) -> Codec {
        let Some(rate) = hop_bytes_per_second else {
            return Codec::None;
        };
        let length = plain.len() as u64;
        {
            let mut standing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if standing.next_sample_in_bytes > length {
                standing.next_sample_in_bytes -= length;
                return standing.codec;
            }
            // Set before sampling, so that chunks beside this one do not sample too.
            standing.next_sample_in_bytes = SAMPLE_EVERY_BYTES;
        }
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let codec = choose(&sample(plain, clock), rate, processors as f64 / 2.0);
        let mut standing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        standing.codec = codec;
        if codec == Codec::None {
            standing.next_sample_in_bytes = SAMPLE_EVERY_BYTES * 8;
        }
        codec
    }
}

/// Compresses.
///
/// # Errors
/// `Internal` where the codec fails.
pub fn compress(plain: &[u8], codec: Codec) -> Result<Vec<u8>> {
    match codec {
        Codec::None => Ok(plain.to_vec()),
        Codec::Lz4 => Ok(lz4_flex::block::compress(plain)),
        Codec::Zstd => zstd::bulk::compress(plain, ZSTD_LEVEL).map_err(|error| {
            Error::new(Kind::Internal, "compress chunk", error.to_string()).with_source(error)
        }),
    }
}

/// Decompresses what must be exactly `length` bytes then; never allocates more.
///
/// # Errors
/// `Corrupt` where it is anything else.
pub fn decompress(packed: Bytes, codec: Codec, length: usize) -> Result<Bytes> {
    let corrupt = |why: String| Error::new(Kind::Corrupt, "decompress chunk", why);
    let plain: Bytes = match codec {
        Codec::None => packed,
        Codec::Lz4 => lz4_flex::block::decompress(&packed, length)
            .map_err(|error| corrupt(error.to_string()))?
            .into(),
        Codec::Zstd => zstd::bulk::decompress(&packed, length)
            .map_err(|error| corrupt(error.to_string()))?
            .into(),
    };
    if plain.len() != length {
        return Err(corrupt(format!(
            "{} bytes instead of {length}",
            plain.len()
        )));
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfresh_sky::{Rng, SystemClock};

    fn trial(codec: Codec, ratio: f64, bytes_per_second: f64) -> Trial {
        Trial {
            codec,
            ratio,
            bytes_per_second,
        }
    }

    #[test]
    fn a_slow_hop_takes_the_smaller_stream_and_a_fast_one_the_quicker() {
        let trials = [
            trial(Codec::Lz4, 2.0, 600e6),
            trial(Codec::Zstd, 3.0, 300e6),
        ];
        assert_eq!(choose(&trials, 50e6, 1.0), Codec::Zstd);
        assert_eq!(choose(&trials, 300e6, 1.0), Codec::Lz4);
        assert_eq!(choose(&trials, 2e9, 1.0), Codec::None);
        assert_eq!(choose(&[], 50e6, 1.0), Codec::None);
    }

    #[test]
    fn what_hardly_shrinks_is_left_alone() {
        let trials = [trial(Codec::Lz4, 1.05, 9e9), trial(Codec::Zstd, 1.09, 9e9)];
        assert_eq!(choose(&trials, 1e6, 4.0), Codec::None);
    }

    #[test]
    fn random_bytes_are_tried_once_and_then_left_alone() {
        let rng = Rng::seeded(3);
        let noise: Vec<u8> = (0..SAMPLE_BYTES / 8)
            .flat_map(|_| rng.u64().to_le_bytes())
            .collect();
        let trials = sample(&noise, &SystemClock);
        assert_eq!(trials.len(), 1, "{trials:?}");
        let chooser = Chooser::default();
        assert_eq!(chooser.codec(&noise, Some(1e6), &SystemClock), Codec::None);
        let standing = chooser.0.lock().unwrap();
        assert_eq!(standing.next_sample_in_bytes, SAMPLE_EVERY_BYTES * 8);
    }

    #[test]
    fn nothing_is_compressed_before_the_hop_is_known() {
        let chooser = Chooser::default();
        let text = b"the same again and again ".repeat(9_000);
        assert_eq!(chooser.codec(&text, None, &SystemClock), Codec::None);
        assert_ne!(chooser.codec(&text, Some(1e5), &SystemClock), Codec::None);
    }

    #[test]
    fn every_codec_gives_back_what_it_took_and_refuses_another_length() {
        let text = Bytes::from(b"the same again and again ".repeat(500));
        for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
            let packed = Bytes::from(compress(&text, codec).unwrap());
            assert_eq!(decompress(packed.clone(), codec, text.len()).unwrap(), text);
            let wrong = decompress(packed, codec, text.len() - 1).unwrap_err();
            assert_eq!(wrong.kind, Kind::Corrupt);
        }
    }
}
