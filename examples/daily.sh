#!/bin/sh
# A week of a service whose users, items and tastes change: each night the model goes on from the night before, and is tested
# on the next day. Beside it: one that is trained anew on the day alone, one anew on all days so far, and one that is never
# trained again.
#
#   cargo build --release && PATH=$PWD/target/release:$PATH examples/daily.sh runs/daily
#
# Arguments: a folder that is not there yet, rows of a day (100000), the model (mi-dpg).
set -eu
folder=${1:?a folder}
rows=${2:-100000}
model=${3:-mi-dpg}
mkdir -p "$(dirname "$folder")"
mkdir "$folder"
cd "$folder"

for day in 0 1 2 3 4 5 6 7; do
    polyscene synth --out "day$day" --rows "$rows" --day "$day" >/dev/null 2>&1
done

# $1: the run; $2: the day whose rows it learns; the rest: more options.
train() {
    run=$1
    data=$2
    shift 2
    start=$(date +%s)
    polyscene train day0/config.toml --out "$run" --device cpu --set "data.path=$PWD/$data" --set "model.name=$model" \
        --set data.cache=false "$@" >"$run.log" 2>&1 || { cat "$run.log"; exit 1; }
    seconds=$(($(date +%s) - start))
}

# The AUC of a run on a day.
auc() {
    polyscene eval "$1" --device cpu --data "day$2/data.parquet" --set data.unknown_scenario=skip --json 2>/dev/null |
        sed -n '0,/"auc"/s/.*"auc": *\([0-9.]*\).*/\1/p' | cut -c 1-6
}

echo "| tested on day | goes on | seconds | that day alone | seconds | all days so far | seconds | day 0 alone |"
echo "|---:|---:|---:|---:|---:|---:|---:|---:|"
for day in 0 1 2 3 4 5 6; do
    next=$((day + 1))
    if [ "$day" = 0 ]; then
        train "goes-on-0" "day0/data.parquet"
    else
        # One pass: a day's rows are new, and most of the rest is known.
        train "goes-on-$day" "day$day/data.parquet" --from "goes-on-$((day - 1))" --set train.epochs=1
    fi
    line="| $next | $(auc "goes-on-$day" $next) | $seconds"
    train "alone-$day" "day$day/data.parquet"
    line="$line | $(auc "alone-$day" $next) | $seconds"
    mkdir "all-$day-data"
    for known in $(seq 0 "$day"); do
        ln -s "../day$known/data.parquet" "all-$day-data/day$known.parquet"
    done
    train "all-$day" "all-$day-data"
    echo "$line | $(auc "all-$day" $next) | $seconds | $(auc goes-on-0 $next) |"
done
