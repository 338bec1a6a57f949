#!/bin/sh
# Stands in for the firebrand binary: notes each command line and answers as the real one would.
#   FAKE_LOG     where command lines are noted
#   FAKE_FAIL    a command that fails
#   FAKE_SLOW    a command that runs until Ctrl-C, then "saves" and exits with 130
echo "$*" >> "$FAKE_LOG"
command=$1
if [ "$command" = "${FAKE_FAIL:-}" ]; then
    echo "error: told to fail" >&2
    exit 1
fi
if [ "$command" = "${FAKE_SLOW:-}" ]; then
    trap 'echo saved >> "$FAKE_LOG"; exit 130' INT
    while true; do sleep 0.1; done
fi
out=
while [ $# -gt 0 ]; do
    if [ "$1" = --out ]; then out=$2; fi
    shift
done
case $command in
    pretrain)
        mkdir -p "$out"
        touch "$out/run.toml" "$out/model.safetensors"
        echo '{"step":1,"train_loss":2.5}' > "$out/metrics.jsonl"
        echo '{"step":2,"val_loss":1.5,"val_bits_per_byte":0.75}' >> "$out/metrics.jsonl"
        echo '{"step":3,"val_loss":1.25,"val_bits_per_byte":0.625}' >> "$out/metrics.jsonl" ;;
    score) echo '{"loss":1.25,"perplexity":3.49,"bits_per_byte":0.55,"floor_bits_per_byte":0.5}' ;;
    generate) echo '{"text":" and that is how it ended."}' ;;
    bench-generator) echo '{"mb_per_s":25.0}' ;;
    bench-train)
        echo '{"tokens_per_s":4000.0,"peak_bytes":104857600,"mfu":0.8,"gemm_gflops":410.0,"loss_first":6.2,"loss_last":6.1}' ;;
esac
