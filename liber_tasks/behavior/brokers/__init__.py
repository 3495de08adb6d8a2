"""Messages of Kafka topics and Redis streams as blocks of rows, and how far each is read."""
