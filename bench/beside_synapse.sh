#!/usr/bin/env bash
# Runs VoiceChat and Synapse in turn under the same load. See bench/README.md.
#   bench/beside_synapse.sh [scenarios]     environment: BENCH_DIR MXBENCH ROUNDS PARAMS OUT
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
: "${BENCH_DIR:=$HOME/.cache/voicechat-bench}" "${MXBENCH:=$project/../shared/bench}" "${ROUNDS:=2}" "${PARAMS:=}"
: "${OUT:=$BENCH_DIR/result.json}"
scenarios=${1:-startup,send,create,join,history,members,initial_sync,fanout,e2ee,media}
export BENCH_DIR SYNAPSE_PYTHON=$BENCH_DIR/venv/bin/python HOMESERVER_PYTHON=$project/.venv/bin/python PYTHONPATH=$project
unset PYTHONDONTWRITEBYTECODE  # a second start is one with compiled modules, for both
port=54330

mkdir -p "$BENCH_DIR"/{synapse,voicechat}
if [ ! -x "$SYNAPSE_PYTHON" ]; then
   python3 -m venv "$BENCH_DIR/venv"
   "$BENCH_DIR/venv/bin/pip" install --quiet "matrix-synapse[postgres]==1.163.0" uvloop orjson
fi

# The database server of the embedded PostgreSQL's own binaries, with its default, durable settings.
pgbin=$("$HOMESERVER_PYTHON" -c 'from homeserver.storage.embedded.binaries import find_binaries; print(find_binaries().folder)')
as=()
if [ "$(id -u)" = 0 ]; then
   id voicechat-bench >/dev/null 2>&1 || useradd --system --no-create-home voicechat-bench
   as=(runuser -u voicechat-bench --)
fi
if ! "${as[@]}" "$pgbin/pg_ctl" -D "$BENCH_DIR/pg" status >/dev/null 2>&1; then
   if [ ! -e "$BENCH_DIR/pg/PG_VERSION" ]; then
      mkdir -p "$BENCH_DIR/pg"
      [ "$(id -u)" != 0 ] || { chown voicechat-bench "$BENCH_DIR/pg"; chmod a+x "$HOME" "$BENCH_DIR"; }
      (cd / && "${as[@]}" "$pgbin/initdb" -D "$BENCH_DIR/pg" -E UTF8 --locale=C --username=postgres -A trust >/dev/null)
   fi
   (cd / && "${as[@]}" "$pgbin/pg_ctl" -D "$BENCH_DIR/pg" -w -l "$BENCH_DIR/pg/server.log" start \
      -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=100" >/dev/null)
fi

for name in synapse voicechat; do
   sed "s#BENCH_DIR#$BENCH_DIR#g" "$MXBENCH/targets/$name.example.yaml" >"$BENCH_DIR/$name/homeserver.yaml"
done
# Federation is off on both sides: it is not part of these scenarios.
sed -i 's#^federation:.*#federation: {enabled: false}#; s#\[client, federation, keys, media, admin\]#[client, media, admin]#' "$BENCH_DIR/voicechat/homeserver.yaml"
sed "s#BENCH_DIR#$BENCH_DIR#g" "$MXBENCH/targets/synapse.log.example.yaml" >"$BENCH_DIR/synapse/log.yaml"
(cd "$BENCH_DIR/synapse" && "$SYNAPSE_PYTHON" -m synapse.app.homeserver -c homeserver.yaml --generate-keys)

params=()
for param in $PARAMS; do params+=(--param "$param"); done
cd "$MXBENCH"
exec "$BENCH_DIR/venv/bin/python" -m mxbench --compare targets/synapse.example.json targets/voicechat.example.json \
   --reset --rounds "$ROUNDS" --scenario "$scenarios" --state "$BENCH_DIR/state" --out "$OUT" "${params[@]}"
