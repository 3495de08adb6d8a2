-- Import: whoever is storing a text comes to its end first, and none begins, so that what the file holds is judged by
-- what is there. Reading goes on. A statement of its own, so that what follows sees what they wrote.
LOCK TABLE liber.interest IN SHARE ROW EXCLUSIVE MODE
