"""What happens when a crowd is torn apart, and how it is told afterwards."""
