# shellcheck shell=bash
# The words of the blocks in deploy/PUBLIC-SERVER.md, for bash. Sourced at the root of the repository, it starts one
# server, or with NODES=3 a cluster of three, with deploy/config/public.toml as it is but for certificates and ports,
# which are loopback's, and a load balancer at 127.0.99.1. `admin` and `client` go to another node each time.
# `stop_nodes` ends it; all of it is in $NEST.
#
# Needs `rookery`, `openssl` and `curl`, and for `client` a $PYTHON that has slixmpp (`pip install slixmpp`).

NODES=${NODES:-1}
NEST=${NEST:-$PWD/nest}
PYTHON=${PYTHON:-python3}
# Each node takes one port from here, one from 10, one from 20 and one from 40 above.
PORT=${PORT:-5300}
servers=()

# An administrator, at the next node.
admin() { at_node "$(next_node)" "$@"; }

# The same at one node, the first being 1.
at_node() {
    local node=$1
    shift
    rookery admin --socket "$NEST/node$node/admin.sock" "$@"
}

# Reads the configuration again, at each node.
reload() {
    local node
    for node in $(seq "$NODES"); do at_node "$node" server reload >/dev/null; done
}

# Somebody who uses the server, by the next node; a command that has several streams goes on to those behind it.
client() {
    local first step at=()
    first=$(next_node)
    for ((step = 0; step < NODES; step++)); do
        at+=(--server "127.0.0.1:$((PORT + 10 + (first + step - 1) % NODES + 1))")
    done
    "$PYTHON" deploy/try/client.py "${at[@]}" --ca "$NEST/tls.pem" "$@"
}

# A public page, of the next node.
page() {
    local port=$((PORT + 40 + $(next_node)))
    curl --silent --show-error --fail --cacert "$NEST/tls.pem" --resolve "example.org:$port:127.0.0.1" \
        "https://example.org:$port$1"
}

# A metric, of all nodes. Fails where none has it.
metric() {
    local node
    for node in $(seq "$NODES"); do
        curl --silent --show-error --fail "http://127.0.0.1:$((PORT + 20 + node))/metrics"
    done | grep -E "^$1(\{| )"
}

# The lines of the nodes' logs that have a text in them. Fails where none has.
logged() { grep -hF "$1" "$NEST"/node*.log; }

# Runs what must be refused, and shows what it says.
refused() {
    if "$@" 2>&1; then
        echo "that was not refused: $*"
        return 1
    fi
}

# Looks until it is so, for what is decided on one node is known on all within moments.
eventually() {
    local end=$((SECONDS + 30)) said=
    until said=$(set -o pipefail && eval "$*" 2>&1); do
        if ((SECONDS > end)); then
            echo "it never came to that: $*"
            echo "$said"
            return 1
        fi
        sleep 0.1
    done
    echo "$said"
}

# From 1 to NODES and again. In a file, for a pipe's commands are processes of their own.
next_node() {
    local last
    last=$(cat "$NEST/last")
    echo $((last % NODES + 1)) | tee "$NEST/last"
}

# All are members of the control group and hold clients; the first has the accounts, for its store is its own.
start_node() {
    local node=$1 roles='"connection", "router", "control"' address=127.0.0.1:$((PORT + $1)) options=() token
    if ((NODES > 1)); then
        options=(--set "cluster.listen=[\"$address\"]" --set cluster.address="$address")
        if ((node == 1)); then
            rookery cluster init --dir "$NEST/node1" --name nest --address "$address" >/dev/null
        else
            roles='"connection", "control"'
            options+=(--set "cluster.peers=[\"127.0.0.1:$((PORT + 1))\"]")
            token=$(rookery cluster token --socket "$NEST/node1/admin.sock" --roles "${roles//[\" ]/}" --expires 5m)
            rookery cluster join "$token" --dir "$NEST/node$node" --address "$address" >/dev/null
        fi
    fi
    rookery serve --config "$NEST/rookery.toml" --set server.data_dir="$NEST/node$node" --set "server.roles=[$roles]" \
        --set "connection.starttls=[\"127.0.0.1:$((PORT + 10 + node))\"]" --set connection.direct_tls=[] \
        --set "http.listen=[\"127.0.0.1:$((PORT + 20 + node))\"]" \
        --set "web.listen=[\"127.0.0.1:$((PORT + 40 + node))\"]" --set "connection.proxy_trusted=[\"127.0.99.1/32\"]" \
        "${options[@]}" >"$NEST/node$node.log" 2>&1 &
    servers+=($!)
    eventually "at_node $node server status --json | grep '\"ready\": true'" >/dev/null
}

start_nodes() {
    local node
    mkdir "$NEST"
    echo 0 >"$NEST/last"
    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=example.org -addext subjectAltName=DNS:example.org \
        -keyout "$NEST/tls.key" -out "$NEST/tls.pem" 2>/dev/null
    sed "s|/etc/rookery/tls/example.org|$NEST/tls|" deploy/config/public.toml >"$NEST/rookery.toml"
    for node in $(seq "$NODES"); do
        start_node "$node"
        # While the control group takes a new member in it may have no leader.
        eventually "at_node 1 control members | grep -c answers | grep -x $node" >/dev/null
    done
    eventually "at_node $NODES registration show" >/dev/null
}

# At once: nothing of it is needed any more.
stop_nodes() {
    kill -9 "${servers[@]}"
    wait "${servers[@]}" 2>/dev/null || true
}

start_nodes
