"""How the world comes in: API, webhooks, the team's console, the customer's links."""
