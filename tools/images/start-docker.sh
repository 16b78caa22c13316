#!/usr/bin/env bash
# Starts a Docker engine by hand where no service manager runs one (a container, a CI job), or stops the one it started.
#   start-docker.sh [start]   ready when it returns; does nothing when an engine answers already
#   start-docker.sh stop      ends only the engine that "start" started, by its process id
# Or `source` it and call start_docker and stop_docker.
# DOCKER_STATE (default /tmp/causeway-docker) holds log, pid and data; the socket is Docker's default one.
DOCKER_STATE="${DOCKER_STATE:-/tmp/causeway-docker}"
DOCKER_PIDFILE="$DOCKER_STATE/dockerd.pid"
DOCKER_DEADLINE_S=60

docker_running() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

start_docker() {
  local driver network child waited
  if docker_running; then
    echo "docker: an engine answers already"
    return 0
  fi
  command -v dockerd >/dev/null || { echo "docker: no dockerd on the PATH (Debian: apt-get install docker.io)" >&2; return 1; }
  mkdir -p "$DOCKER_STATE"
  # overlay needs a file system below it that allows it; vfs works everywhere, only with more disk.
  for driver in ${STORAGE_DRIVER:-overlay2 vfs}; do
    for network in "" "--iptables=false --ip6tables=false --ip-masq=false"; do
      # shellcheck disable=SC2086  # $network is a list of words
      setsid dockerd --data-root "$DOCKER_STATE/data" --exec-root "$DOCKER_STATE/exec" --pidfile "$DOCKER_PIDFILE" \
        --storage-driver "$driver" $network >"$DOCKER_STATE/dockerd.log" 2>&1 </dev/null &
      child=$!
      waited=0
      while kill -0 "$child" 2>/dev/null && [ "$waited" -lt "$DOCKER_DEADLINE_S" ]; do
        if docker_running; then
          echo "docker: started (pid $child, storage $driver${network:+, without iptables})"
          return 0
        fi
        sleep 1
        waited=$((waited + 1))
      done
      kill "$child" 2>/dev/null || true
      wait "$child" 2>/dev/null || true
      cp "$DOCKER_STATE/dockerd.log" "$DOCKER_STATE/dockerd.$driver${network:+.noiptables}.log"
    done
  done
  echo "docker: the engine did not start; the last lines of $DOCKER_STATE/dockerd.log:" >&2
  tail -n 15 "$DOCKER_STATE/dockerd.log" >&2
  return 1
}

stop_docker() {
  local pid waited
  [ -f "$DOCKER_PIDFILE" ] || { echo "docker: none started from here"; return 0; }
  pid="$(cat "$DOCKER_PIDFILE")"
  kill "$pid" 2>/dev/null || true
  waited=0
  while kill -0 "$pid" 2>/dev/null && [ "$waited" -lt 20 ]; do
    sleep 1
    waited=$((waited + 1))
  done
  kill -9 "$pid" 2>/dev/null || true
  rm -f "$DOCKER_PIDFILE"
  echo "docker: stopped (pid $pid)"
}

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
  set -eu
  case "${1:-start}" in
    start) start_docker ;;
    stop) stop_docker ;;
    *) echo "usage: $0 [start|stop]" >&2; exit 2 ;;
  esac
fi
