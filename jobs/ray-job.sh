#!/bin/bash
# A large library, once, on a Ray cluster that is there: bash ray-job.sh, on its head. Run again
# after a failure, it sends only what has no caption yet.
# On every node:  /opt/captionfleet/bin/pip install 'CHECKOUT[ray]' 'ray[default]'
# The head gets no CPUs for clips and has the key, which Ray hands to jobs on the head alone:
#   set -a; . /etc/captionfleet/environment; set +a; ray start --head --num-cpus=0
# and each other node, without it:  ray start --address=HEAD:6379
set -eu
exec ray job submit \
    --address="${RAY_DASHBOARD:-http://127.0.0.1:8265}" \
    --submission-id="captionfleet-$(date +%s)" \
    -- "${CAPTIONFLEET:-/opt/captionfleet/bin/captionfleet}" run --job=/etc/captionfleet/ray.toml --quiet
