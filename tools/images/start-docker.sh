#!/bin/sh
# Starts a Docker engine by hand where no service manager runs one (a container, a CI job), or stops the one it started.
#   start-docker.sh [start]   ready when it returns; does nothing when an engine answers already
#   start-docker.sh stop      ends only the engine that "start" started, by its process id
# STATE (default /tmp/causeway-docker) holds log, pid and data; the socket is Docker's default one.
set -eu
STATE="${STATE:-/tmp/causeway-docker}"
PIDFILE="$STATE/dockerd.pid"
DEADLINE_S=60

running() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

start() {
  if running; then
    echo "docker: an engine answers already"
    return 0
  fi
  command -v dockerd >/dev/null || { echo "docker: no dockerd on the PATH (Debian: apt-get install docker.io)" >&2; exit 1; }
  mkdir -p "$STATE"
  # overlay needs a file system below it that allows it; vfs works everywhere, only with more disk.
  for driver in ${STORAGE_DRIVER:-overlay2 vfs}; do
    for network in "" "--iptables=false --ip6tables=false --ip-masq=false"; do
      # shellcheck disable=SC2086  # $network is a list of words
      setsid dockerd --data-root "$STATE/data" --exec-root "$STATE/exec" --pidfile "$PIDFILE" \
        --storage-driver "$driver" $network >"$STATE/dockerd.log" 2>&1 </dev/null &
      child=$!
      waited=0
      while kill -0 "$child" 2>/dev/null && [ "$waited" -lt "$DEADLINE_S" ]; do
        if running; then
          echo "docker: started (pid $child, storage $driver${network:+, without iptables})"
          return 0
        fi
        sleep 1
        waited=$((waited + 1))
      done
      kill "$child" 2>/dev/null || true
      wait "$child" 2>/dev/null || true
      cp "$STATE/dockerd.log" "$STATE/dockerd.$driver${network:+.noiptables}.log"
    done
  done
  echo "docker: the engine did not start; the last lines of $STATE/dockerd.log:" >&2
  tail -n 15 "$STATE/dockerd.log" >&2
  exit 1
}

stop() {
  [ -f "$PIDFILE" ] || { echo "docker: none started from here"; return 0; }
  pid="$(cat "$PIDFILE")"
  kill "$pid" 2>/dev/null || true
  waited=0
  while kill -0 "$pid" 2>/dev/null && [ "$waited" -lt 20 ]; do
    sleep 1
    waited=$((waited + 1))
  done
  kill -9 "$pid" 2>/dev/null || true
  rm -f "$PIDFILE"
  echo "docker: stopped (pid $pid)"
}

case "${1:-start}" in
  start) start ;;
  stop) stop ;;
  *) echo "usage: $0 [start|stop]" >&2; exit 2 ;;
esac
