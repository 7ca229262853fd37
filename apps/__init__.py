"""What a person holds. Apps read artifacts and results; nothing imports them."""
