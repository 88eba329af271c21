#!/usr/bin/env bash
# Two VoiceChats federate, then two Synapses, ROUNDS times in turn, under the same load. After bench/beside_synapse.sh has run once
# (it makes the environment of Synapse and the PostgreSQL).  environment: BENCH_DIR MXBENCH ROUNDS OUT
set -euo pipefail
project=$(cd "$(dirname "$0")/../.." && pwd)
: "${BENCH_DIR:=$HOME/.cache/voicechat-bench}" "${MXBENCH:=$project/../shared/bench}" "${ROUNDS:=2}" "${OUT:=$BENCH_DIR/federation.json}"
export BENCH_DIR SYNAPSE_PYTHON=$BENCH_DIR/venv/bin/python HOMESERVER_PYTHON=$project/.venv/bin/python PYTHONPATH=$project
unset PYTHONDONTWRITEBYTECODE
rm -f "$OUT"
for round in $(seq "$ROUNDS"); do
   for kind in synapse voicechat; do
      folder=$BENCH_DIR/federation/$kind
      rm -rf "$folder"
      "$HOMESERVER_PYTHON" "$project/bench/federation/pair.py" "$kind" "$folder"
      if [ "$kind" = synapse ]; then
         sed -i "s#BENCH_DIR#$BENCH_DIR#" "$folder"/*/homeserver.yaml
         for one in a b; do (cd "$folder/$one" && "$SYNAPSE_PYTHON" -m synapse.app.homeserver -c homeserver.yaml --generate-keys); done
      fi
      # mxbench makes the database of its target anew, but not that of the peer.
      bash -c "$("$HOMESERVER_PYTHON" -c 'import json, sys; print(json.load(open(sys.argv[1]))["reset_cmd"])' "$folder/b.json")"
      (cd "$MXBENCH" && "$BENCH_DIR/venv/bin/python" -m mxbench --target "$folder/a.json" --peer "$folder/b.json" --reset \
         --scenario federation --state "$folder/state" --out "$OUT")
   done
done
# A room of 10,000 of another server is joined, MEMBERS where given.
for kind in synapse voicechat; do
   PYTHONPATH=$project:$MXBENCH "$HOMESERVER_PYTHON" -m bench.federation.big_join "$kind" "$BENCH_DIR/federation/$kind" "${MEMBERS:-10000}" | tee -a "$OUT"
done
