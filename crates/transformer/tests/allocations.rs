//! How often decoding a token asks for memory.

use firebrand_backend::device;
use firebrand_transformer::{CpuDecoder, Decoder, Model, ModelConfig, Preset, Wanted, WeightFormat};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts what it passes on to the system's allocator.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

#[allow(unsafe_code, reason = "an allocator is an unsafe trait")]
// SAFETY: everything is the system's allocator's, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps alloc's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps dealloc's contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_token_allocates_its_logits_and_what_wakes_the_threads() {
    let (_, device) = device::resolve(Some("cpu")).expect("the cpu is always there");
    for preset in [Preset::Llama, Preset::Gpt2] {
        let config = ModelConfig::preset(preset, 300, 192, 3, 6, 512);
        let decoder = Decoder::new(&config, 1, &device).expect("a model");
        for format in WeightFormat::ALL {
            let model = CpuDecoder::new(&decoder, format).expect("on the CPU");
            let mut cache = model.start(1);
            // Keys and values take a block of each layer for 32 tokens, which is seldom.
            model.step(&mut cache, &[&[1; 129]], Wanted::Last);
            for _ in 0..3 {
                model.step(&mut cache, &[&[2]], Wanted::Last);
            }
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            const TOKENS: usize = 64;
            for _ in 0..TOKENS {
                model.step(&mut cache, &[&[3]], Wanted::Last);
            }
            let each = (ALLOCATIONS.load(Ordering::Relaxed) - before) as f64 / TOKENS as f64;
            // One for the logits; for each further thread one task, and now and then room in a queue.
            let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
            assert!(each <= 1.0 + 2.0 * threads as f64, "{preset:?}, {format:?}: {each} allocations a token");
            eprintln!("{preset:?}, {format:?}: {each} allocations a token");
        }
    }
}
