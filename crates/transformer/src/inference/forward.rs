//! The forward pass over slices.

use super::cache::Row;
use super::lstm::LstmBuffers;
use super::{CpuCache, CpuDecoder, CpuLayer, Wanted};
use firebrand_backend::inference::{self as slices, HeadSizes, Rows, Scratch, Write};
use firebrand_backend::threads;

/// So many tokens go through the layers together; more of them go one part after the other. A row is cut where it would be if it were
/// alone, at multiples of this, so that nothing depends on the rows beside it.
const TOGETHER: usize = 512;

/// What a step computes in. All of it takes the size that a step needs, and keeps its memory.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    tokens: Vec<Token>,
    /// The residual stream, `[n, d_model]`.
    x: Vec<f32>,
    normed: Vec<f32>,
    query_key_value: Vec<f32>,
    query: Vec<f32>,
    key: Vec<f32>,
    /// Heads before their norm.
    plain: Vec<f32>,
    attended: Vec<f32>,
    /// What a gated layer goes on with.
    gate: Vec<f32>,
    up: Vec<f32>,
    cos: Vec<f32>,
    sin: Vec<f32>,
    /// Final states of which logits are wanted.
    wanted: Vec<f32>,
    lstm: LstmBuffers,
    scratch: Scratch,
}

/// A token to be fed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) row: usize,
    id: u32,
    pub(super) position: usize,
    /// How many tokens of its row it sees.
    sees: usize,
    wanted: bool,
}

impl Token {
    /// Whether it looks back and no further.
    fn is_causal(&self) -> bool {
        self.sees == self.position + 1
    }
}

/// Cuts tokens, of which those of a row follow each other, into what goes through the layers together.
fn together(tokens: &[Token]) -> Vec<&[Token]> {
    // Who sees what comes later needs it in the same layer.
    if !tokens.iter().all(Token::is_causal) {
        return vec![tokens];
    }
    let pieces = tokens.chunk_by(|a, b| a.row == b.row).flat_map(|row| row.chunks(TOGETHER));
    let mut groups = Vec::new();
    let (mut start, mut end) = (0, 0);
    for piece in pieces {
        if end > start && end + piece.len() - start > TOGETHER {
            groups.push(&tokens[start..end]);
            start = end;
        }
        end += piece.len();
    }
    groups.extend((end > start).then(|| &tokens[start..end]));
    groups
}

impl CpuDecoder {
    /// An empty cache for `rows` sequences.
    pub fn start(&self, rows: usize) -> CpuCache {
        CpuCache::new(self.layers.len(), self.lstm.len(), rows)
    }

    /// Feeds each row its new ids, the first of which are its prompt, and returns the logits, `[vocab]` each, of the positions that are `wanted`, row after
    /// row.
    ///
    /// # Panics
    /// When the rows are not those of the cache, an id is outside the vocabulary, or a row gets longer than the context
    /// of a model with learned positions.
    pub fn step(&self, cache: &mut CpuCache, ids: &[&[u32]], wanted: Wanted) -> Vec<f32> {
        self.feed(cache, ids, wanted, None)
    }

    /// [`step`](Self::step), and with the logits the final hidden states, normalized, of all that was fed: `[d_model]` for each
    /// id, row after row.
    ///
    /// # Panics
    /// As [`step`](Self::step).
    pub fn step_with_hidden(
        &self,
        cache: &mut CpuCache,
        ids: &[&[u32]],
        wanted: Wanted,
    ) -> (Vec<f32>, Vec<f32>) {
        let mut hidden = Vec::new();
        let logits = self.feed(cache, ids, wanted, Some(&mut hidden));
        (logits, hidden)
    }

    fn feed(
        &self,
        cache: &mut CpuCache,
        ids: &[&[u32]],
        wanted: Wanted,
        hidden: Option<&mut Vec<f32>>,
    ) -> Vec<f32> {
        assert_eq!(ids.len(), cache.rows(), "one row of ids for each row of the cache");
        self.throughout(|| self.feed_awake(cache, ids, wanted, hidden))
    }

    /// Does `work`, which is mostly steps of this model, with the other threads awake from one step to the next. To wake them for each
    /// costs up to a fifth of a step.
    pub fn throughout<T>(&self, work: impl FnOnce() -> T) -> T {
        /// Bytes of weights that are read faster alone than others are woken.
        const WORTH_WAKING: usize = 1 << 20;
        match self.matrix_bytes() < WORTH_WAKING {
            true => work(),
            false => threads::together(work),
        }
    }

    fn feed_awake(
        &self,
        cache: &mut CpuCache,
        ids: &[&[u32]],
        wanted: Wanted,
        mut hidden: Option<&mut Vec<f32>>,
    ) -> Vec<f32> {
        let CpuCache { rows, buffers } = cache;
        let mut tokens = std::mem::take(&mut buffers.tokens);
        tokens.clear();
        for (row, ids) in ids.iter().enumerate() {
            let before = rows[row].len;
            let is_prompt = self.config.prefix_attention && before == 0;
            tokens.extend(ids.iter().enumerate().map(|(i, &id)| Token {
                row,
                id,
                position: before + i,
                sees: if is_prompt { ids.len() } else { before + i + 1 },
                wanted: wanted == Wanted::All || i + 1 == ids.len(),
            }));
        }
        let vocab_size = self.config.vocab_size;
        let mut logits = vec![0.0; tokens.iter().filter(|token| token.wanted).count() * vocab_size];
        let mut done = 0;
        for tokens in together(&tokens) {
            self.run(tokens, rows, buffers);
            if let Some(hidden) = &mut hidden {
                match &self.norm {
                    Some(norm) => {
                        norm.apply(&buffers.x, &mut buffers.normed);
                        hidden.extend_from_slice(&buffers.normed);
                    }
                    None => hidden.extend_from_slice(&buffers.x),
                }
            }
            let count = self.keep_wanted(tokens, buffers);
            let logits = &mut logits[done * vocab_size..][..count * vocab_size];
            self.head.apply(&buffers.wanted, None, logits, Write::Set, &mut buffers.scratch);
            done += count;
        }
        if let Some(cap) = self.config.soft_cap() {
            let cap = cap as f32;
            logits.iter_mut().for_each(|logit| *logit = (*logit / cap).tanh() * cap);
        }
        buffers.tokens = tokens;
        logits
    }

    /// Takes tokens through all layers and appends them to their rows.
    fn run(&self, tokens: &[Token], rows: &mut [Row], buffers: &mut Buffers) {
        let d = self.config.d_model;
        buffers.x.resize(tokens.len() * d, 0.0);
        for (token, x) in tokens.iter().zip(buffers.x.chunks_exact_mut(d)) {
            x.copy_from_slice(&self.token_embedding.values()[token.id as usize * d..][..d]);
            if let Some(table) = &self.position_embedding {
                let positions = &table.values()[token.position * d..][..d];
                x.iter_mut().zip(positions).for_each(|(x, position)| *x += position);
            }
        }
        self.angles(tokens, buffers);
        for (index, layer) in self.layers.iter().enumerate() {
            self.attention(index, layer, tokens, rows, buffers);
            self.mlp(layer, buffers);
        }
        for (index, layer) in self.lstm.iter().enumerate() {
            let Buffers { x, lstm, scratch, .. } = &mut *buffers;
            layer.run(index, tokens, rows, x, lstm, scratch);
        }
        for token in tokens {
            rows[token.row].len = token.position + 1;
        }
    }

    /// The rotary angles of every token.
    fn angles(&self, tokens: &[Token], Buffers { cos, sin, .. }: &mut Buffers) {
        cos.clear();
        sin.clear();
        for token in tokens {
            let angles = self.frequencies.iter().map(|frequency| token.position as f64 * frequency);
            cos.extend(angles.clone().map(|angle| angle.cos() as f32));
            sin.extend(angles.map(|angle| angle.sin() as f32));
        }
    }

    fn attention(
        &self,
        index: usize,
        layer: &CpuLayer,
        tokens: &[Token],
        rows: &mut [Row],
        buffers: &mut Buffers,
    ) {
        let Buffers { x, normed, query_key_value, query, key, plain, attended, cos, sin, scratch, .. } =
            buffers;
        let d_head = self.config.d_head();
        let (heads, kv_heads) = (self.config.n_heads, self.config.n_kv_heads);
        layer.attention_norm.apply(x, normed);
        layer.query_key_value.apply(normed, query_key_value, scratch);
        let (width, kv_width) = (heads * d_head, kv_heads * d_head);
        query.clear();
        key.clear();
        for row in query_key_value.chunks_exact(width + 2 * kv_width) {
            query.extend_from_slice(&row[..width]);
            key.extend_from_slice(&row[width..width + kv_width]);
        }
        for (norm, heads) in [(&layer.query_norm, &mut *query), (&layer.key_norm, &mut *key)] {
            if let Some(norm) = norm {
                std::mem::swap(heads, plain);
                norm.apply(plain, heads);
            }
        }
        if !cos.is_empty() {
            slices::rope(query, width, cos, sin);
            slices::rope(key, kv_width, cos, sin);
        }
        let stride = width + 2 * kv_width;
        let new = |tokens: std::ops::Range<usize>| {
            let values = &query_key_value[tokens.start * stride + width + kv_width..];
            let count = tokens.len();
            [
                Rows { values: &key[tokens.start * kv_width..], stride: kv_width, count },
                Rows { values, stride, count },
            ]
        };
        // Tokens of one sequence follow each other.
        let runs = || {
            let mut first = 0;
            tokens.chunk_by(|a, b| a.row == b.row).map(move |run| {
                let numbers = first..first + run.len();
                first = numbers.end;
                (run, numbers)
            })
        };
        for (run, numbers) in runs() {
            rows[run[0].row].write(index, run[0].position, [kv_heads, d_head], new(numbers));
        }
        let sizes = HeadSizes { heads, kv_heads, d_head };
        attended.resize(query.len(), 0.0);
        let seen = |token: &Token| rows[token.row].seen(index, token.sees);
        if tokens.windows(2).all(|pair| pair[0].row != pair[1].row) {
            slices::attend(query, sizes, |i| seen(&tokens[i]), attended);
        } else {
            for (run, numbers) in runs() {
                let floats = numbers.start * width..numbers.end * width;
                let (query, attended) = (&query[floats.clone()], &mut attended[floats]);
                // A token alone is attended to as it is where every row has one.
                match run.len() > 1 && run.iter().all(Token::is_causal) {
                    true => {
                        let seen = seen(&run[run.len() - 1]);
                        slices::attend_causally(query, sizes, seen, new(numbers), scratch, attended);
                    }
                    false => slices::attend(query, sizes, |i| seen(&run[i]), attended),
                }
            }
        }
        layer.output.add(attended, x, scratch);
    }

    fn mlp(&self, layer: &CpuLayer, buffers: &mut Buffers) {
        let Buffers { x, normed, gate, up, scratch, .. } = buffers;
        layer.mlp_norm.apply(x, normed);
        layer.up.apply(normed, up, scratch);
        let activation = self.config.mlp.activation();
        if self.config.mlp.is_gated() {
            gate.resize(up.len() / 2, 0.0);
            slices::gated(activation, up, self.config.d_ff, gate);
            return layer.down.add(gate, x, scratch);
        }
        slices::activate(activation, up);
        layer.down.add(up, x, scratch);
    }

    /// The final states of the tokens whose logits are wanted, normalized; returns how many.
    fn keep_wanted(&self, tokens: &[Token], Buffers { x, normed, wanted, .. }: &mut Buffers) -> usize {
        normed.clear();
        for (token, x) in tokens.iter().zip(x.chunks_exact(self.config.d_model)) {
            if token.wanted {
                normed.extend_from_slice(x);
            }
        }
        match &self.norm {
            Some(norm) => norm.apply(normed, wanted),
            None => std::mem::swap(normed, wanted),
        }
        wanted.len() / self.config.d_model
    }
}
