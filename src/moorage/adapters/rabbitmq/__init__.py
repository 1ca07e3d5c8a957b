"""The bus on RabbitMQ, by aio-pika; and a RabbitMQ of our own."""
