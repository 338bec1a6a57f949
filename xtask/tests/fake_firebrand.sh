#!/bin/sh
# Stands in for the firebrand binary: notes each command line and answers as the real one would.
#   FAKE_LOG     where command lines are noted
#   FAKE_FAIL    a word of the command line of what fails
#   FAKE_SLOW    a word of the command line of what runs until its stdin ends, then "saves" and exits with 130
#   FAKE_SAVE    how long saving takes, in seconds
case " $* " in
    *" optimizer.lrr="*) echo "error: unknown field lrr" >&2; exit 2 ;;
    *" --dry-run "*) exit 0 ;;
esac
echo "$*" >> "$FAKE_LOG"
command=$1
case " $* " in *" ${FAKE_FAIL:-/} "*)
    echo "about to fail" >&2
    echo "error: told to fail" >&2
    exit 1 ;;
esac
case " $* " in *" ${FAKE_SLOW:-/} "*)
    echo '@progress {"position":1,"length":4,"message":"loss 2.500, 10 tokens/s, 3 s left"}' >&2
    cat > /dev/null
    sleep "${FAKE_SAVE:-0}"
    echo saved >> "$FAKE_LOG"
    exit 130 ;;
esac
out= read= prompts= pause=0
while [ $# -gt 0 ]; do
    case $1 in
        --out) out=$2 ;;
        --read) read="$read $2" ;;
        --prompt) prompts="$prompts$2
" ;;
        --pause) pause=$2 ;;
    esac
    shift
done
case $command in
    # make --out FILE [--text TEXT] [--read FILE]...: a file that says what it was made of.
    make)
        echo "begins $out" >> "$FAKE_LOG"
        sleep "$pause"
        { echo "made of"; [ -z "$read" ] || cat $read; } > "$out.tmp"
        mv "$out.tmp" "$out"
        echo "ends $out" >> "$FAKE_LOG" ;;
    data) mkdir -p "$(dirname "$out")"; echo "Once upon a time." > "$out" ;;
    tokenizer) mkdir -p "$out"; echo '{}' > "$out/tokenizer.json" ;;
    pretrain)
        mkdir -p "$out"
        touch "$out/run.toml"
        { echo "weights of"; [ -z "$read" ] || cat $read; } > "$out/model.safetensors"
        echo '{"step":1,"train_loss":2.5}' > "$out/metrics.jsonl"
        echo '{"step":2,"val_loss":1.5,"val_bits_per_byte":0.75}' >> "$out/metrics.jsonl"
        echo '{"step":3,"val_loss":1.25,"val_bits_per_byte":0.625}' >> "$out/metrics.jsonl"
        echo "{\"process\":$$}" >> "$out/metrics.jsonl" ;;
    score) echo '{"loss":1.25,"perplexity":3.49,"bits_per_byte":0.55,"floor_bits_per_byte":0.5}' ;;
    generate)
        printf %s "$prompts" | while read -r prompt; do
            echo "{\"prompt\":\"$prompt\",\"text\":\" and that is how it ended.\"}"
        done ;;
    bench-generator) echo '{"mb_per_s":25.0}' ;;
    bench-train)
        echo '{"tokens_per_s":4000.0,"peak_bytes":104857600,"mfu":0.8,"seconds_per_step":0.5,"page_faults_per_step":5,"gemm_gflops":410.0,"loss_first":6.2,"loss_last":6.1}' ;;
esac
