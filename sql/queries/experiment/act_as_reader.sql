-- Custom metric: only read from here to the end of the transaction.
SET LOCAL ROLE liber_reader
