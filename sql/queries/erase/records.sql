-- Erase again: all records of erasures, digests in hexadecimal.
SELECT to_jsonb(e) || jsonb_build_object('user_digest', encode(e.user_digest, 'hex')) AS record
FROM liber.erasure AS e
ORDER BY e.user_digest, e.erased_at
