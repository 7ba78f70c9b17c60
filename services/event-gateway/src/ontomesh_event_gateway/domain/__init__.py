"""What events, subscriptions and deliveries are, and what happens to them."""
