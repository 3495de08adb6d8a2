#!/usr/bin/env bash
# keep.sh COMMAND...: a process of the local stack. Once the stack is up (the file $LIBER_VAR/up), a process that ends
# is started again, later and later where it ends soon; before, its end is the stack's, and whoever starts it is told.
stopping='' pause=1
trap 'stopping=yes' TERM INT
while :; do
    begun=$SECONDS
    "$@"
    status=$?
    [[ $stopping || ! -e $LIBER_VAR/up ]] && exit "$status"
    (( SECONDS - begun > 60 )) && pause=1
    echo "Ended with status $status: it is started again in $pause s."
    sleep "$pause" &
    wait $!
    if [[ $stopping ]]; then
        kill -KILL $! 2>/dev/null  # a process that had just begun may have missed the signal
        wait $!
        exit "$status"
    fi
    (( pause = pause < 16 ? 2 * pause : 30 ))
done
