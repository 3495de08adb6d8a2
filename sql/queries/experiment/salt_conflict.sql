-- Define: another experiment with this salt. Its arms would be the same users, and carry over what it did to them.
SELECT name FROM liber.experiment WHERE salt = :salt AND name <> :name ORDER BY name LIMIT 1;
