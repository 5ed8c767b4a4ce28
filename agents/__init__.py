"""What runs beside the things measured: polling, signing, the outbox. No database, no ORM."""
