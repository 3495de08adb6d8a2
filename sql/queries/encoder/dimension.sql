-- Read, nearest: how long the vectors of an encoder are.
SELECT dimension FROM liber.encoder WHERE encoder_version = :encoder_version
