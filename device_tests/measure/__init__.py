"""What is measured, a module per question; results go into the room results."""
